/**
 * Requests that a page of another site could make a browser send without the browser asking first (CSRF, and timing what the
 * answer is). The rule of Apollo Server's `csrfPrevention`: a content type that is not simple, or a header of one's own. A bearer
 * token counts as such: no page can set `Authorization` unasked, and no browser adds this scheme by itself.
 * Source: https://fetch.spec.whatwg.org/#cors-safelisted-request-header
 */
export interface RequestHeaders {
  readonly [name: string]: string | string[] | undefined;
}

/** Types that a page may send to another site without asking first. */
const simpleContentTypes = new Set(['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']);
const ownHeaders = ['x-apollo-operation-name', 'apollo-require-preflight'];

export function isSimpleContentType(contentType: string): boolean {
  return simpleContentTypes.has((contentType.split(';')[0] ?? '').trim().toLowerCase());
}

/** Whether the request for an answer in one piece could. */
export function couldComeFromAnotherSite(headers: RequestHeaders): boolean {
  const { authorization } = headers;
  if (typeof authorization === 'string' && /^bearer /i.test(authorization)) return false;
  return couldOpenStreamFromAnotherSite(headers);
}

/**
 * Whether the request for an answer that streams could. A bearer token does not count: any page
 * can open an `EventSource`, which sends no token itself, but a proxy in between may add one.
 */
export function couldOpenStreamFromAnotherSite(headers: RequestHeaders): boolean {
  const { 'content-type': contentType } = headers;
  if (typeof contentType === 'string' && contentType !== '' && !isSimpleContentType(contentType)) return false;
  return !ownHeaders.some((name) => (headers[name] ?? '').length > 0);
}

export const crossSiteMessage = `This request could come from a page of another site (CSRF). Send it with "content-type: application/json", or with a header ${ownHeaders.join(' or ')} that is not empty.`;
