// Prints the serial numbers that the SDK computes: of the certificate in each of the files, and of the root bundles.
import { getSNFromPath, input } from './sdk.mjs';

const { certificates, bundles } = input();
console.log(JSON.stringify({
  certificates: certificates.map(path => getSNFromPath(path, false)),
  bundles: bundles.map(path => getSNFromPath(path, true)),
}));
