// Clients that nothing was made for, unchanged but for base URL and key: LangChain's of Anthropic, which speaks the Messages API by
// an older SDK of Anthropic's, and the AI SDK's of whatever speaks chat completions. Prints what each saw.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatAnthropic } from '@langchain/anthropic';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { embed as embedding, generateText, streamText, tool, stepCountIs } from 'ai';
import * as ai from 'ai';
import { z } from 'zod';

globalThis.AI_SDK_LOG_WARNINGS = false;
const { base, key, model, embed } = JSON.parse(process.argv[2]);
const langchain = (options) => new ChatAnthropic({ model, apiKey: key, anthropicApiUrl: base, maxTokens: 200, maxRetries: 0, ...options });
const compatible = createOpenAICompatible({ name: 'gateway', baseURL: base + '/v1', apiKey: key, includeUsage: true, supportsStructuredOutputs: true });

const question = 'What does get_weather say?';
const city = z.object({ city: z.string() });
const weather = { name: 'get_weather', description: 'Weather of a city.', schema: city };
const answer = z.object({ city: z.string(), degrees: z.number().int() });
const kinds = (value) => Object.fromEntries(Object.entries(value).map(([name, v]) => [name, typeof v]));
const tools = { get_weather: tool({ inputSchema: city, execute: async () => '22 °C' }) };

// conversation asks, answers the tool's call, and gives what comes of it.
async function conversation(chat) {
  const asked = [new HumanMessage(question)];
  const bound = chat.bindTools([weather]);
  const called = await bound.invoke(asked);
  const said = await bound.invoke([...asked, called, new ToolMessage({ tool_call_id: called.tool_calls[0].id, content: '22 °C' })]);
  return [called.tool_calls[0].name, kinds(called.tool_calls[0].args), said.text, said.usage_metadata.output_tokens > 0];
}

const steps = {
  async 'langchain anthropic'() { return conversation(langchain()); },
  async 'langchain anthropic, streaming'() { return conversation(langchain({ streaming: true })); },
  async 'langchain anthropic, stream'() {
    let text = '';
    let tokens = 0;
    for await (const chunk of await langchain().stream('Hello.')) {
      text += chunk.text;
      tokens += chunk.usage_metadata?.output_tokens ?? 0;
    }
    return [text, tokens > 0];
  },
  async 'langchain anthropic, structured'() {
    return [kinds(await langchain().withStructuredOutput(answer, { name: 'answer' }).invoke('Hello.'))];
  },
  async 'langchain anthropic, errors'() {
    const e = await langchain({ apiKey: 'sk-wrong' }).invoke('Hello.').catch((e) => e);
    return [e.status, e.error?.error?.type];
  },
  async 'compatible text'() {
    const { text, finishReason, usage } = await generateText({ model: compatible(model), prompt: 'Hello.', maxRetries: 0 });
    return [text, finishReason, usage.outputTokens > 0];
  },
  async 'compatible stream'() {
    const result = streamText({ model: compatible(model), prompt: 'Hello.', maxRetries: 0 });
    let text = '';
    for await (const t of result.textStream) text += t;
    return [text, await result.finishReason, (await result.usage).outputTokens > 0];
  },
  async 'compatible tools'() {
    const { text, steps } = await generateText({ model: compatible(model), prompt: question, maxRetries: 0, stopWhen: stepCountIs(3), tools });
    return [text, steps.length];
  },
  async 'compatible tools, streamed'() {
    const result = streamText({ model: compatible(model), prompt: question, maxRetries: 0, stopWhen: stepCountIs(3), tools });
    return [await result.text, (await result.steps).length];
  },
  async 'compatible object'() {
    const { object } = await ai.generateObject({ model: compatible(model), prompt: 'Hello.', schema: answer, maxRetries: 0 });
    return [kinds(object)];
  },
  async 'compatible errors'() {
    const wrong = createOpenAICompatible({ name: 'gateway', baseURL: base + '/v1', apiKey: 'sk-wrong' });
    const e = await generateText({ model: wrong(model), prompt: 'Hello.', maxRetries: 0 }).catch((e) => e);
    return [e.statusCode, e.data?.error?.code];
  },
};
if (embed) {
  steps['compatible embedding'] = async () => {
    const e = await embedding({ model: compatible.textEmbeddingModel(embed), value: 'Alipay', maxRetries: 0 });
    return [e.embedding.length > 0];
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
