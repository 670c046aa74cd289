// Package messages is the dialect of Anthropic's clients: the Messages API. Its requests are translated by package
// wire/anthropic; a provider that speaks the API itself gets them as they came, and its answers and errors pass as they are.
//
// The facts are those of Anthropic's API reference, of its SDKs, and of Claude Code's documentation on gateways.
package messages
