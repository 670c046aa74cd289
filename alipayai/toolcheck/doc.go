// Package toolcheck judges the tool calls of an answer in OpenAI's form: whether a client
// could carry them out. A call is broken whose arguments are no JSON object, or are not as
// the schema of the request's own tool has it, or that names a tool which the request does
// not offer.
//
// Schemas are the client's, and so may be hostile. Nothing that they refer to is fetched or
// read; what a schema or its check may take is bounded, and beyond that the arguments need
// only be an object.
package toolcheck
