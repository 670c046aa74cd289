// What the scripts use of alipay-sdk: its client, and the functions that it signs, verifies and encrypts with, which its
// package does not export.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

export { AlipayFormData, AlipayFormStream, AlipaySdk } from 'alipay-sdk';

const root = dirname(createRequire(import.meta.url).resolve('alipay-sdk/package.json'));
const inner = name => import(pathToFileURL(join(root, 'dist', 'esm', name)).href);

export const { aesDecryptText, aesEncryptText, signatureV3, verifySignatureV3 } = await inner('util.js');
export const { getSN, getSNFromPath } = await inner('antcertutil.js');

// input gives the JSON that a script is started with, its last argument.
export const input = () => JSON.parse(process.argv.at(-1));
