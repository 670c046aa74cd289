// Official clients of OpenAI's and Anthropic's, and Vercel's AI SDK, unchanged but for base URL and key. Prints what each saw.
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { createAnthropic } from '@ai-sdk/anthropic';
import { generateText, streamText, tool, stepCountIs } from 'ai';
import * as ai from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

globalThis.AI_SDK_LOG_WARNINGS = false;
const { base, key, model, embed } = JSON.parse(process.argv[2]);
const anthropic = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
const openai = new OpenAI({ baseURL: base + '/v1', apiKey: key, maxRetries: 0 });
const vercel = createAnthropic({ baseURL: base + '/v1', apiKey: key });

const prompt = [{ role: 'user', content: 'Hello.' }];
const weather = {
  name: 'get_weather', description: 'Weather of a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const answer = z.object({ city: z.string(), degrees: z.number().int() });
const kinds = (value) => Object.fromEntries(Object.entries(value).map(([name, v]) => [name, typeof v]));

const steps = {
  async 'anthropic messages'() {
    const m = await anthropic.messages.create({ model, max_tokens: 100, messages: prompt });
    return [m.type, m.content[0].text, m.stop_reason, m.usage.output_tokens > 0];
  },
  async 'anthropic stream helper'() {
    let text = '';
    const stream = anthropic.messages.stream({ model, max_tokens: 100, messages: prompt }).on('text', (t) => { text += t; });
    const m = await stream.finalMessage();
    return [text, m.content[0].text, m.stop_reason, m.usage.input_tokens > 0, m.usage.output_tokens > 0];
  },
  async 'anthropic tools'() {
    const messages = [{ role: 'user', content: 'What does get_weather say?' }];
    const asked = await anthropic.messages.stream({ model, max_tokens: 100, messages, tools: [weather] }).finalMessage();
    const call = asked.content.find((b) => b.type === 'tool_use');
    messages.push({ role: 'assistant', content: asked.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: '22 °C' }] });
    const m = await anthropic.messages.create({ model, max_tokens: 100, messages, tools: [weather] });
    return [asked.stop_reason, call.name, kinds(call.input), m.content[0].text];
  },
  async 'anthropic count_tokens'() {
    const n = await anthropic.messages.countTokens({ model, messages: prompt });
    return [n.input_tokens > 0];
  },
  async 'anthropic parsed output'() {
    const m = await anthropic.messages.parse({ model, max_tokens: 200, messages: prompt, output_config: { format: zodOutputFormat(answer) } });
    return [kinds(m.parsed_output)];
  },
  async 'anthropic models'() {
    const ids = [];
    for await (const m of anthropic.models.list({ limit: 1000 })) ids.push([m.type, m.id === m.display_name]);
    return [ids.length > 0, ids.every(([type, named]) => type === 'model' && named)];
  },
  async 'anthropic errors'() {
    try {
      await anthropic.messages.create({ model, max_tokens: -1, messages: prompt });
    } catch (e) {
      return [e.constructor.name, e.status, e.error.error.type, typeof e.requestID];
    }
    return ['no error'];
  },
  async 'anthropic wrong key'() {
    try {
      await new Anthropic({ baseURL: base, apiKey: 'sk-wrong', maxRetries: 0 }).messages.create({ model, max_tokens: 9, messages: prompt });
    } catch (e) {
      return [e.constructor.name, e.status, e.error.error.type];
    }
    return ['no error'];
  },
  async 'ai text'() {
    const { text, finishReason } = await generateText({ model: vercel(model), prompt: 'Hello.', maxRetries: 0 });
    return [text, finishReason];
  },
  async 'ai stream'() {
    const result = streamText({ model: vercel(model), prompt: 'Hello.', maxRetries: 0 });
    let text = '';
    for await (const t of result.textStream) text += t;
    return [text, await result.finishReason];
  },
  async 'ai tools'() {
    const { text, steps } = await generateText({
      model: vercel(model), prompt: 'What does get_weather say?', maxRetries: 0, stopWhen: stepCountIs(3),
      tools: { get_weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async () => '22 °C' }) },
    });
    return [text, steps.length];
  },
  async 'ai object'() {
    const { object } = await ai.generateObject({ model: vercel(model), prompt: 'Hello.', schema: answer, maxRetries: 0 });
    return [kinds(object)];
  },
  async 'openai chat'() {
    const c = await openai.chat.completions.create({ model, messages: prompt });
    return [c.choices[0].message.content];
  },
  async 'openai tools runner'() {
    const runner = openai.chat.completions.runTools({
      model, messages: [{ role: 'user', content: 'What does get_weather say?' }],
      tools: [{ type: 'function', function: { name: 'get_weather', parse: JSON.parse, function: async () => '22 °C', parameters: weather.input_schema } }],
    });
    return [await runner.finalContent()];
  },
  async 'openai parsed output'() {
    const c = await openai.chat.completions.parse({ model, messages: prompt, response_format: zodResponseFormat(answer, 'answer') });
    return [kinds(c.choices[0].message.parsed)];
  },
  async 'openai models'() {
    const ids = [];
    for await (const m of openai.models.list()) ids.push(m.id);
    const one = await openai.models.retrieve(ids[0]);
    return [ids.length > 0, one.id === ids[0]];
  },
  async 'openai completions'() {
    const c = await openai.completions.create({ model, prompt: 'Hello.' });
    let text = '';
    for await (const chunk of await openai.completions.create({ model, prompt: 'Hello.', stream: true })) text += chunk.choices[0]?.text ?? '';
    return [c.object, c.choices[0].text, text];
  },
};
if (embed) {
  steps['openai embeddings'] = async () => {
    const e = await openai.embeddings.create({ model: embed, input: 'Alipay' });
    return [e.data.length];
  };
  steps['openai moderations'] = async () => {
    const m = await openai.moderations.create({ input: 'Hello.' });
    return [m.results[0].flagged];
  };
}

const seen = {};
for (const [name, step] of Object.entries(steps)) {
  try {
    seen[name] = await step();
  } catch (e) {
    seen[name] = [`${e.constructor.name}: ${e.message}`];
  }
}
console.log(JSON.stringify(seen));
