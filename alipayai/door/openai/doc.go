// Package openai is the dialect of OpenAI's clients, which is the canonical one: requests, answers and streams pass as
// they are.
package openai
