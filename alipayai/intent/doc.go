// Package intent says what a short text is about, as taught by examples: a folder has a file of examples for each intent,
// and a linear classifier over the characters and words of a text learns to tell them apart.
//
//	examples.go    the files, and the set that is built in
//	features.go    what of a text counts
//	train.go       from examples to weights
//	classifier.go  from a text to an intent, or to none
//	vectors.go     what providers of embeddings are asked, and say
//	centroids.go   the same by embeddings
//	remembered.go  the vectors of examples, in a file
//	report.go      what a classifier makes of labelled texts
//
// It knows no calls and no providers, and reads nothing but the folder and the file that it is given.
//
// Training is deterministic: the same examples give the same weights on any machine. It uses nothing but IEEE additions,
// products, quotients and square roots, each rounded by itself (an explicit conversion keeps the compiler from fusing a
// product and a sum, see "Floating-point operators" in Go's specification), one goroutine, and a shuffle of its own.
package intent
