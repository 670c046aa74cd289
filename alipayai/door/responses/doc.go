// Package responses is the dialect of clients of OpenAI's Responses API. Its requests are translated by package
// wire/responses; a provider that speaks the API itself gets them as they came, but for what they go on from, which the
// gateway keeps, and its answers pass as they are.
package responses
