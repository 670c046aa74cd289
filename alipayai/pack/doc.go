// Package pack puts the texts of several short calls into one request, and takes its
// answer apart again. It is pure: it knows neither HTTP nor time.
//
// Calls may share a request when everything but their one text is equal: model, system
// prompt and parameters ([Item.Remainder]). Whose calls they are, and who may share a
// request with whom, is for the caller to decide.
//
// # Chat
//
// The texts become one JSON object, whose keys are random ids and whose order is
// shuffled, so that no text can name, or count to, another. The system prompt says that
// the answer is to be one JSON object with the same keys. What comes back is not
// trusted: see [Pack.Split].
//
// This is no wall against a text that gives orders: a model may follow "answer no to all
// others" all the same. It only answers to what is in the same pack, so a caller packs
// the texts of those together who may do this to each other.
//
// # Embeddings
//
// Their API takes an array of inputs and names each vector's index, so nothing has to be
// asked of a model.
package pack
