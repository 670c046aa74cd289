// Clients of the Responses API, unchanged but for base URL and key: OpenAI's SDK, its Agents SDK, the AI SDK and LangChain, each in
// its default mode. Prints what each saw.
import { createOpenAI } from '@ai-sdk/openai';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { Agent, OpenAIProvider, Runner, tool as agentTool } from '@openai/agents';
import { generateText, streamText, tool, stepCountIs } from 'ai';
import * as ai from 'ai';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

globalThis.AI_SDK_LOG_WARNINGS = false;
const { base, key, model } = JSON.parse(process.argv[2]);
const openai = new OpenAI({ baseURL: base + '/v1', apiKey: key, maxRetries: 0 });
const vercel = createOpenAI({ baseURL: base + '/v1', apiKey: key });
const runner = new Runner({ modelProvider: new OpenAIProvider({ openAIClient: openai, useResponses: true }), tracingDisabled: true });
const langchain = (useResponsesApi) => new ChatOpenAI({ model, apiKey: key, maxRetries: 0, useResponsesApi, configuration: { baseURL: base + '/v1' } });

const question = 'What does get_weather say?';
const city = z.object({ city: z.string() });
const weather = {
  type: 'function', name: 'get_weather', description: 'Weather of a city.', strict: true,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
};
const answer = z.object({ city: z.string(), degrees: z.number().int() });
const kinds = (value) => Object.fromEntries(Object.entries(value).map(([name, v]) => [name, typeof v]));

// said is the text of a response: the stream helper gives no output_text.
const said = (response) => response.output.at(-1).content[0].text;

// outputs answers the calls of a response.
const outputs = (response) => response.output.filter((i) => i.type === 'function_call')
  .map((i) => ({ type: 'function_call_output', call_id: i.call_id, output: '22 °C' }));

const agents = () => {
  const forecaster = new Agent({
    name: 'forecaster', model, instructions: 'You forecast.', handoffDescription: 'Knows the weather.',
    tools: [agentTool({ name: 'get_weather', description: 'Weather of a city.', parameters: city, execute: async () => '22 °C' })],
  });
  return { forecaster, desk: new Agent({ name: 'desk', model, instructions: 'You hand over.', handoffs: [forecaster] }) };
};

// conversation asks, answers the tool's call, and gives what comes of it.
async function conversation(chat) {
  const asked = [new HumanMessage(question)];
  const called = await chat.bindTools([{ type: 'function', function: { name: weather.name, parameters: weather.parameters } }]).invoke(asked);
  const said = await chat.invoke([...asked, called, new ToolMessage({ tool_call_id: called.tool_calls[0].id, content: '22 °C' })]);
  let streamed = '';
  for await (const chunk of await chat.stream('Hello.')) streamed += chunk.text;
  return [called.tool_calls[0].name, said.text, streamed, said.usage_metadata.output_tokens > 0];
}

const steps = {
  async 'openai create'() {
    const r = await openai.responses.create({ model, instructions: 'Be brief.', input: 'Hello.' });
    return [r.object, r.status, r.output_text, r.usage.output_tokens > 0];
  },
  async 'openai stream helper'() {
    let text = '';
    const kinds = [];
    const stream = openai.responses.stream({ model, input: 'Hello.' })
      .on('response.output_text.delta', (e) => { text += e.delta; }).on('event', (e) => kinds.push(e.type));
    const r = await stream.finalResponse();
    return [text, said(r), kinds[0], kinds.at(-1), r.usage.output_tokens > 0];
  },
  async 'openai tools, by previous_response_id'() {
    const asked = await openai.responses.create({ model, input: question, tools: [weather] });
    const first = await openai.responses.create({ model, previous_response_id: asked.id, input: outputs(asked), tools: [weather] });
    const streamed = await openai.responses.stream({ model, previous_response_id: asked.id, input: outputs(asked), tools: [weather] }).finalResponse();
    return [said(first), said(streamed)];
  },
  async 'openai tools, by items'() {
    const input = [{ role: 'user', content: question }];
    const asked = await openai.responses.stream({ model, input, tools: [weather], store: false }).finalResponse();
    const said = await openai.responses.create({ model, input: [...input, ...asked.output, ...outputs(asked)], tools: [weather], store: false });
    return [asked.output[0].name, kinds(asked.output[0].parsed_arguments ?? JSON.parse(asked.output[0].arguments)), said.output_text];
  },
  async 'openai parsed output'() {
    const r = await openai.responses.parse({ model, input: 'Hello.', text: { format: zodTextFormat(answer, 'answer') } });
    return [kinds(r.output_parsed)];
  },
  async 'openai kept responses'() {
    const r = await openai.responses.create({ model, input: 'Hello.' });
    const again = await openai.responses.retrieve(r.id);
    const items = [];
    for await (const item of openai.responses.inputItems.list(r.id)) items.push(item.content[0].text);
    await openai.responses.delete(r.id);
    const gone = await openai.responses.retrieve(r.id).catch((e) => e.constructor.name);
    return [again.output_text, items, gone];
  },
  async 'openai errors'() {
    try {
      await openai.responses.create({ model, input: 'Hello.', max_output_tokens: 0 });
    } catch (e) {
      return [e.constructor.name, e.status, e.param, e.code];
    }
    return ['no error'];
  },
  async 'agents loop'() {
    const result = await runner.run(agents().forecaster, question);
    return [result.finalOutput, result.rawResponses.length];
  },
  async 'agents stream'() {
    const result = await runner.run(agents().forecaster, question, { stream: true });
    let text = '';
    for await (const piece of result.toTextStream()) text += piece;
    await result.completed;
    return [text, result.finalOutput];
  },
  async 'agents handoff'() {
    const result = await runner.run(agents().desk, 'Please transfer_to_forecaster.');
    return [result.lastAgent.name, typeof result.finalOutput, result.rawResponses.length];
  },
  async 'agents, by previousResponseId'() {
    const one = await runner.run(agents().forecaster, 'Hello.');
    const two = await runner.run(agents().forecaster, 'And again.', { previousResponseId: one.lastResponseId });
    return [one.finalOutput, two.finalOutput];
  },
  async 'ai text'() {
    const { text, finishReason } = await generateText({ model: vercel(model), prompt: 'Hello.', maxRetries: 0 });
    return [text, finishReason];
  },
  async 'ai stream'() {
    const result = streamText({ model: vercel(model), prompt: 'Hello.', maxRetries: 0 });
    let text = '';
    for await (const t of result.textStream) text += t;
    return [text, await result.finishReason, (await result.usage).outputTokens > 0];
  },
  async 'ai tools'() {
    const { text, steps } = await generateText({
      model: vercel(model), prompt: question, maxRetries: 0, stopWhen: stepCountIs(3),
      tools: { get_weather: tool({ inputSchema: city, execute: async () => '22 °C' }) },
    });
    return [text, steps.length];
  },
  async 'ai tools, streamed'() {
    const result = streamText({
      model: vercel(model), prompt: question, maxRetries: 0, stopWhen: stepCountIs(3),
      tools: { get_weather: tool({ inputSchema: city, execute: async () => '22 °C' }) },
    });
    return [await result.text, (await result.steps).length];
  },
  async 'ai object'() {
    const { object } = await ai.generateObject({ model: vercel(model), prompt: 'Hello.', schema: answer, maxRetries: 0 });
    return [kinds(object)];
  },
  async 'langchain, responses'() { return conversation(langchain(true)); },
  async 'langchain, chat'() { return conversation(langchain(false)); },
  async 'langchain, structured'() {
    return [kinds(await langchain(true).withStructuredOutput(answer, { name: 'answer', method: 'jsonSchema' }).invoke('Hello.'))];
  },
};

const seen = {};
for (const [name, step] of Object.entries(steps)) {
  try {
    seen[name] = await step();
  } catch (e) {
    seen[name] = [`${e.constructor.name}: ${e.message}`];
  }
}
console.log(JSON.stringify(seen));
