// Makes calls with the SDK, one after the other, and prints what came of each: the answer, which the SDK has verified, or
// its error.
import { AlipayFormData, AlipayFormStream, AlipaySdk, input } from './sdk.mjs';

const form = (files, fields = {}) => {
  const data = new AlipayFormData();
  for (const [ name, value ] of Object.entries({ biz_type: '图', ...fields })) data.addField(name, value);
  for (const [ name, content ] of Object.entries(files)) data.addFile(name, `${name}.png`, Buffer.from(content));
  return data;
};
const stream = files => {
  const data = new AlipayFormStream();
  for (const [ name, content ] of Object.entries(files)) data.buffer(name, Buffer.from(content), `${name}.png`);
  return data;
};

async function make({ config, v3, v2, sse }) {
  const sdk = new AlipaySdk(config);
  if (v2) {
    // The SDK cannot verify an encrypted answer: it looks for the braces of what is signed (getSignStr).
    const options = { validateSign: !v2.params.needEncrypt };
    if (v2.files) options.formData = form(v2.files, v2.params);
    const answer = await sdk.exec(v2.method, v2.files ? {} : v2.params, options);
    return answer.found;
  }
  if (sse) {
    const events = [];
    for await (const event of sdk.sse('POST', sse.path, { body: sse.body })) events.push(event);
    return { events };
  }
  const options = { ...v3.options };
  if (v3.files) options.form = form(v3.files);
  if (v3.stream) options.form = stream(v3.stream);
  return (await sdk.curl(v3.httpMethod, v3.path, options)).data;
}

const results = [];
for (const call of input()) {
  try {
    results.push({ answer: await make(call) });
  } catch (error) {
    results.push({ error: { message: String(error.message), status: error.responseHttpStatus ?? 0, code: error.code ?? '', body: error.responseDataRaw ?? '' } });
  }
}
console.log(JSON.stringify(results));
