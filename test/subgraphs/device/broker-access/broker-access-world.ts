/** The device role as a broker sees it: devices that are registered by the graph, questions over HTTP. */
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';

export const secret = 'a-secret-of-the-broker';
export const bridge = { username: 'fleetgraph-bridge', password: 'password-of-the-bridge' };

export interface Answer {
  readonly result?: string;
  readonly is_superuser?: boolean;
  readonly client_attrs?: Readonly<Record<string, string>>;
  readonly acl?: readonly { readonly permission: string; readonly action: string; readonly topic: string }[];
  readonly expire_at?: number;
}

export interface RegisteredDevice {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
}

export interface BrokerAccessWorld extends AsyncDisposable {
  readonly devices: DeviceWorld;
  register(tenant?: string): Promise<RegisteredDevice>;
  /** The raw answer. `as` is the secret that is presented; null presents none. */
  post(path: string, body: unknown, as?: string | null): Promise<Response>;
  authenticate(body: Readonly<Record<string, unknown>>): Promise<Answer>;
  authorize(body: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** As EMQX writes it for a device that connects with its password. */
  login(device: RegisteredDevice, other?: Readonly<Record<string, unknown>>): Promise<Answer>;
}

export async function createBrokerAccessWorld(
  settings: Readonly<Record<string, string>> = {},
): Promise<BrokerAccessWorld> {
  const devices = await createDeviceWorld({
    MQTT_AUTH_SECRET: secret,
    MQTT_USERNAME: bridge.username,
    MQTT_PASSWORD: bridge.password,
    ...settings,
  });
  let address = 0;
  const world: BrokerAccessWorld = {
    devices,
    async register(tenant = 'acme') {
      const { registerDevice } = await devices.data<{ registerDevice: { credentials: RegisteredDevice } }>(
        `mutation { registerDevice(input: { name: "d", typeId: "generic" }) {
           credentials { clientId username password } } }`,
        {},
        { tenant },
      );
      return registerDevice.credentials;
    },
    post: (path, body, as = secret) =>
      fetch(`http://127.0.0.1:${devices.role.port()}${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(as === null ? {} : { authorization: `Bearer ${as}` }),
        },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    authenticate: (body) => answer('/mqtt/authenticate', body),
    authorize: (body) => answer('/mqtt/authorize', body),
    login: ({ clientId, username, password }, other = {}) =>
      world.authenticate({
        clientid: clientId,
        username,
        password,
        zone: 'default',
        cert_common_name: '',
        // A new one each time, so that it isn't the throttle that denies.
        peerhost: `2001:db8::${(address += 1).toString(16)}`,
        ...other,
      }),
    [Symbol.asyncDispose]: () => devices[Symbol.asyncDispose](),
  };
  const answer = async (path: string, body: unknown): Promise<Answer> => {
    const response = await world.post(path, body);
    // Of another status EMQX would ask the next one.
    if (response.status !== 200) throw new Error(`the broker was answered with status ${response.status}`);
    return (await response.json()) as Answer;
  };
  return world;
}
