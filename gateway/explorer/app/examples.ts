/** The operations in the explorer's tabs. A test holds them to the schema. */
export interface Example {
  readonly query: string;
  /** JSON. */
  readonly variables?: string;
}

export const examples: readonly Example[] = [
  {
    query: `# The fleet, with the present state of each device. Three subgraphs answer in one reply.
# Is it empty? Run "npm run simulate -- --devices 50 --rate 100" beside "npm start".
query Devices {
  devices(first: 10, orderBy: NAME) {
    totalCount
    edges {
      node {
        id
        name
        labels { key value }
        type { name metrics { name unit } }
        presence { online lastSeen }
        state { version updatedAt metrics { name value at } }
        commands(first: 3) { edges { node { name status } } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
`,
  },
  {
    query: `# Live: the state of every device as it is, then each change. Press play, and watch.
subscription DeviceStates {
  deviceStates {
    cursor
    device { id name }
    presence { online }
    state { version metrics { name value at } }
  }
}
`,
  },
  {
    query: `# Registers a device. The password is shown this once.
mutation RegisterDevice {
  registerDevice(input: { name: "Boiler 1", typeId: "generic", labels: [{ key: "site", value: "north" }] }) {
    device { id name }
    credentials { clientId username password }
    consistencyToken
  }
}
`,
  },
  {
    query: `# One device, live. Put its id into the variables.
subscription DeviceState($id: ID!, $since: String) {
  deviceState(deviceId: $id, since: $since) {
    cursor
    state { version metrics { name value at } }
    device { name labels { key value } type { name } }
  }
}
`,
    variables: '{ "id": "" }',
  },
  {
    query: `# The history of a metric: raw readings, or minutes or hours, as the range asks for.
query History($id: ID!, $from: DateTime!) {
  device(id: $id) {
    name
    telemetry(metric: "temperature", from: $from, maxPoints: 200) {
      resolution
      points { at last min max mean count }
    }
  }
}
`,
    variables: '{ "id": "", "from": "2026-01-01T00:00:00Z" }',
  },
  {
    query: `# A command to a device. It is SUCCEEDED when the device has acknowledged it.
mutation SendCommand($id: ID!) {
  sendCommand(input: { deviceId: $id, name: "setpoint", parameters: { celsius: 21 }, timeToLive: "PT1M" }) {
    command { id status expiresAt }
    consistencyToken
  }
}
`,
    variables: '{ "id": "" }',
  },
  {
    query: `query Fleet {
  fleet { devices online }
  events(first: 10) { edges { node { type subject time actor data } } }
}
`,
  },
];
