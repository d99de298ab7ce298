/**
 * What EMQX sends, as `deploy/emqx/emqx.conf` writes it. A placeholder without a value comes as null, as an empty string or as
 * the word `undefined`, by its kind and the version of EMQX; one that EMQX doesn't know comes as it stands, `${zone}`.
 */
import { z } from 'zod';

const given = z
  .union([z.string(), z.number(), z.boolean()])
  .nullish()
  .transform((value) => {
    const text = value === null || value === undefined ? '' : String(value);
    return text === '' || text === 'undefined' ? undefined : text;
  });
/** MQTT's own limit of a string (5.0, section 1.5.4). */
const required = z.string().min(1).max(65_535);

const authentication = z.object({
  clientid: required,
  username: given,
  password: given,
  /** Address of the client. */
  peerhost: given,
  /** Zone of the listener: `mtls` where the certificate has been verified. */
  zone: given,
  /** Of the client's certificate. */
  cert_common_name: given,
});

const authorization = z.object({
  clientid: required,
  username: given,
  action: z.enum(['publish', 'subscribe']),
  topic: required,
  /** Given to the client when it was authenticated, see `client_attrs`. */
  tenant: given,
  device: given,
  credential: given,
});

export type AuthenticationRequest = z.infer<typeof authentication>;
export type AuthorizationRequest = z.infer<typeof authorization>;

/** @throws when it is not such a request. */
export function readAuthentication(body: unknown): AuthenticationRequest {
  return authentication.parse(body);
}

/** @throws when it is not such a request. */
export function readAuthorization(body: unknown): AuthorizationRequest {
  return authorization.parse(body);
}
