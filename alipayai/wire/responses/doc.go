// Package responses translates between OpenAI's Responses API, as its clients speak it, and chat completions. It knows no
// HTTP, and keeps no conversation: what a request goes on from is given to it.
//
// The facts are those of OpenAI's OpenAPI document and of its SDKs for Go, Node and Python, of the Open Responses
// specification, and of Codex's source, for what it sends and reads.
package responses
