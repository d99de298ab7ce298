#!/bin/sh
# Starts EMQX with the secret and the address by which it asks the device role. EMQX knows no environment variables in its
# configuration; a variable EMQX_… replaces a value whole, so the headers and addresses are made here.
set -eu
: "${MQTT_AUTH_SECRET}" "${DEVICE_ORIGIN}"

case "$MQTT_AUTH_SECRET$DEVICE_ORIGIN" in
  *[!A-Za-z0-9._~:/+=-]*)
    echo 'MQTT_AUTH_SECRET and DEVICE_ORIGIN may have letters, digits and . _ ~ : / + = - only.' >&2
    exit 78
    ;;
esac
if [ "${#MQTT_AUTH_SECRET}" -lt 16 ]; then
  echo 'MQTT_AUTH_SECRET must have at least 16 characters.' >&2
  exit 78
fi

headers="{\"content-type\": \"application/json\", \"authorization\": \"Bearer $MQTT_AUTH_SECRET\"}"
export EMQX_AUTHENTICATION__1__HEADERS="$headers"
export EMQX_AUTHORIZATION__SOURCES__1__HEADERS="$headers"
export EMQX_AUTHENTICATION__1__URL="\"$DEVICE_ORIGIN/mqtt/authenticate\""
export EMQX_AUTHORIZATION__SOURCES__1__URL="\"$DEVICE_ORIGIN/mqtt/authorize\""
unset MQTT_AUTH_SECRET

if [ "$#" -eq 0 ]; then
  set -- /usr/bin/docker-entrypoint.sh /opt/emqx/bin/emqx foreground
fi
exec "$@"
