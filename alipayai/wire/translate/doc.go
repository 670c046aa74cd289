// Package translate has what translations between the forms of clients' APIs and OpenAI's chat completions are made of:
// reading JSON in place, errors that name the parameter at fault, names of what was left out, and canonical answers and
// streams as a writer of another form needs them.
package translate
