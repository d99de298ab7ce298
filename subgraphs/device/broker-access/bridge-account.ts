/** The account by which the bridges connect to the broker: user name and password of the settings, any client id. */
import { createHash, timingSafeEqual } from 'node:crypto';

export interface BridgeAccount {
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** Whether the user name is the bridge's. Never, if it has no password: nobody gets in on a name alone. */
export function isBridge(account: BridgeAccount, username: string | undefined): boolean {
  return account.username !== undefined && account.password !== undefined && username === account.username;
}

/** Compares in a time that tells nothing of the password. */
export function isPasswordOfBridge(account: BridgeAccount, password: string | undefined): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return (
    account.password !== undefined &&
    password !== undefined &&
    timingSafeEqual(digest(account.password), digest(password))
  );
}
