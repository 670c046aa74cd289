// The Open Platform as far as its SDK knows it: verifies each request with the SDK's own functions and answers what it
// found, signed with the platform's key. It prints its port, and ends with its standard input.
import { createServer } from 'node:http';
import {
  AlipaySdk, aesDecryptText, aesEncryptText, getSNFromPath, input, signatureV3, verifySignatureV3,
} from './sdk.mjs';

const { appPublicKey, platformKey, encryptKey, appCert, platformCert, rootCert } = input();

// To the platform the app is who the platform is to the app: its SDK, told the app's public key, verifies what the app
// has signed.
const platform = new AlipaySdk({ appId: 'judge', privateKey: platformKey, keyType: 'PKCS8', alipayPublicKey: appPublicKey });
const sn = {
  app: getSNFromPath(appCert), platform: getSNFromPath(platformCert), root: getSNFromPath(rootCert, true),
};

// judgeV3 says how the SDK would have signed the request, and whether that is so.
async function judgeV3(request, body) {
  const { headers } = request;
  const [ , auth, sign ] = /^ALIPAY-SHA256withRSA (.*),sign=(.*)$/.exec(headers.authorization ?? '') ?? [];
  const type = headers['content-type'] ?? '';
  let signed = body.toString();
  const files = {};
  if (type.startsWith('multipart/')) {
    const form = await new Response(body, { headers: { 'content-type': type } }).formData();
    signed = '';
    for (const [ name, part ] of form) {
      if (typeof part !== 'string') files[name] = { name: part.name, content: await part.text() };
      else if (name === 'data') signed = part;
    }
  }
  const token = headers['alipay-app-auth-token'];
  const text = `${auth}\n${request.method}\n${request.url}\n${signed}\n${token ? `${token}\n` : ''}`;
  const parts = Object.fromEntries((auth ?? '').split(',').map(part => part.split('=')));
  return {
    verified: sign !== undefined && verifySignatureV3(text, sign, platform.config.alipayPublicKey),
    certified: parts.app_cert_sn === sn.app && headers['alipay-root-cert-sn'] === sn.root,
    appId: parts.app_id, merchant: token ?? '', requestId: headers['alipay-request-id'] ?? '',
    encrypted: headers['alipay-encrypt-type'] ?? '',
    content: headers['alipay-encrypt-type'] ? aesDecryptText(signed, encryptKey) : signed, files,
  };
}

// judgeV2 has the SDK verify the parameters, as those of a notification. Of a form with files, the texts are parameters.
async function judgeV2(url, body, type) {
  const files = {};
  let texts = new URLSearchParams(body.toString());
  if (type.startsWith('multipart/')) {
    texts = [];
    for (const [ name, part ] of await new Response(body, { headers: { 'content-type': type } }).formData()) {
      if (typeof part !== 'string') files[name] = { name: part.name, content: await part.text() };
      else texts.push([ name, part ]);
    }
  }
  const params = Object.fromEntries([ ...url.searchParams, ...texts ]);
  return {
    verified: platform.checkNotifySignV2(params),
    certified: params.app_cert_sn === sn.app && params.alipay_root_cert_sn === sn.root,
    appId: params.app_id, merchant: params.app_auth_token ?? '', encrypted: params.encrypt_type ?? '',
    content: params.encrypt_type ? aesDecryptText(params.biz_content, encryptKey) : params.biz_content ?? '',
    method: params.method, files, text: params.biz_type ?? '',
  };
}

function answerV3(response, status, found) {
  if (status !== 200) { // the platform's errors from before its signer
    response.writeHead(status, { 'content-type': 'application/json', 'alipay-signature': 'null' });
    response.end(JSON.stringify({ code: 'app-call-limited', message: 'too many calls' }));
    return;
  }
  let body = JSON.stringify(found);
  if (found.encrypted) body = aesEncryptText(body, encryptKey);
  const timestamp = String(Date.now());
  response.writeHead(status, {
    'content-type': found.encrypted ? 'text/plain' : 'application/json',
    'alipay-timestamp': timestamp, 'alipay-nonce': 'judge', 'alipay-sn': sn.platform,
    'alipay-signature': signatureV3(`${timestamp}\njudge\n${body}\n`, platform.config.privateKey),
  });
  response.end(body);
}

function answerV2(response, found) {
  let content = JSON.stringify({ code: '10000', msg: 'Success', found });
  if (found.encrypted) content = JSON.stringify(aesEncryptText(content, encryptKey));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`{"${found.method.replaceAll('.', '_')}_response":${content},"sign":"${signatureV3(content, platform.config.privateKey)}"}`);
}

let arrived = 0;
const server = createServer(async (request, response) => {
  const nth = ++arrived;
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url, 'http://judge');
    if (url.pathname === '/gateway.do') answerV2(response, { nth, ...await judgeV2(url, body, request.headers['content-type'] ?? '') });
    else answerV3(response, url.pathname === '/v3/limited' ? 400 : 200, { nth, ...await judgeV3(request, body) });
  } catch (error) {
    response.writeHead(500).end(String(error.stack));
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
