// Clients of chat completions, unchanged but for base URL and key. Prints what each saw of the server, or that it failed.
import { createOpenAI } from '@ai-sdk/openai';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';

globalThis.AI_SDK_LOG_WARNINGS = false;
const { base, key, model } = JSON.parse(process.argv.at(-1));
const openai = new OpenAI({ baseURL: base + '/v1', apiKey: key, maxRetries: 0 });
const vercel = createOpenAI({ baseURL: base + '/v1', apiKey: key }).chat(model);
const langchain = new ChatOpenAI({ model, apiKey: key, maxRetries: 0, configuration: { baseURL: base + '/v1' } });

const messages = [{ role: 'user', content: 'Hello.' }];
const prompt = 'Hello.';
const weather = tool({ description: 'Weather of a city.', inputSchema: z.object({ city: z.string() }), execute: async () => '22 °C' });
const quiet = { onError() {} };

const steps = {
  async 'openai chat'() {
    const a = await openai.chat.completions.create({ model, messages });
    const [choice] = a.choices;
    return [typeof a.id, a.object, Number.isInteger(a.created), typeof a.model, choice.index, choice.message.role, choice.message.content,
      a.usage.total_tokens, a.service_tier];
  },
  async 'openai stream helper'() {
    const a = await openai.chat.completions.stream({ model, messages }).finalChatCompletion();
    return [typeof a.id, a.object, a.choices[0].message.role, a.choices[0].message.content, a.choices[0].finish_reason];
  },
  async 'ai text'() {
    const { text, finishReason } = await generateText({ model: vercel, prompt, maxRetries: 0 });
    return [text, finishReason];
  },
  async 'ai stream'() {
    const stream = streamText({ model: vercel, prompt, maxRetries: 0, ...quiet });
    let text = '';
    for await (const piece of stream.textStream) text += piece;
    return [text, await stream.finishReason];
  },
  async 'ai tools'() {
    const { text, steps } = await generateText({ model: vercel, prompt, maxRetries: 0, tools: { weather }, stopWhen: stepCountIs(3) });
    return [text, steps.length];
  },
  async 'langchain chat'() {
    const m = await langchain.invoke(prompt);
    return [m.getType(), m.content];
  },
  async 'langchain stream'() {
    let all;
    for await (const piece of await langchain.stream(prompt)) all = all ? all.concat(piece) : piece;
    return [all.getType(), all.content];
  },
  async 'openai embeddings'() {
    const list = await openai.embeddings.create({ model, input: 'x' });
    return [list.object, list.data[0].object, list.data[0].index, list.data[0].embedding.length, list.usage.prompt_tokens];
  },
};

const seen = {};
for (const [name, step] of Object.entries(steps)) {
  try {
    seen[name] = await step();
  } catch {
    seen[name] = ['failed'];
  }
}
console.log(JSON.stringify(seen));
