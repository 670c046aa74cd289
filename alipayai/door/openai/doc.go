// Package openai is the door for OpenAI's clients: it makes a call of each HTTP
// request, and writes its answer, or its error, as OpenAI's API does.
package openai
