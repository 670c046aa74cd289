// Package signer signs HTTP requests for Alipay's APIs and for other model providers, and verifies their
// signatures. It is pure: the bytes of a message, a key, a time and a nonce go in, header fields come out.
// It does no I/O but for reading key folders, and reads no clock.
//
// # Schemes
//
//	hmac-sha256   Alipay AI API: HMAC-SHA256 over "<METHOD> <target>\n<client id>.<time>.<body>"   HMAC
//	global        Antom, Alipay+: the same layout, signed with RSA                                 Global
//	openapi-v3    Alipay Open Platform v3: Authorization: ALIPAY-SHA256withRSA ..                  OpenAPIV3
//	openapi-v2    Alipay Open Platform v2 (gateway.do): sorted parameters, sign in the query       OpenAPIV2
//	bearer        Authorization: Bearer <token>                                                    Credential
//	header        a key in a header of any name, e.g. x-api-key                                    Credential
//
// The last two present a secret and sign nothing, so they have no canonical string.
//
// A scheme is one file: its name, its type, which embeds ofVendor, and the [Kind] by which those who configure it or
// send by it know it, without comparing names. A new one is listed in kinds, in kind.go, and above, and a
// profile of package upstream names it.
//
// # Exact bytes
//
// A signature is worth something only when both sides see the same bytes. So a scheme takes the encoded request
// target and the raw body as they are sent, never a parsed URL or a decoded document, and refuses whatever its
// layout could not tell apart: spaces in a method, control characters in a target, separators in ids and
// nonces, header fields that come twice. Two vendor layouts remain ambiguous by design, and tests document it:
// openapi-v2 joins raw values with & and =, and openapi-v3 ends with an optional line. hmac-sha256 and global
// are injective.
//
// A repeated attempt is a new message: call Sign again with a new time and nonce.
//
// # Keys
//
// A [Ring] holds the versions of a key. The highest version signs and all verify. To rotate, add the next
// version on the verifying side, then on the signing side, then remove the old one. Rings are replaced
// atomically while they are in use, so rotation needs no restart:
//
//	keys, err := signer.ReadKeyDir(os.DirFS("/run/secrets/alipay"), signer.ParseHMACKey)   // files 1, 2, ..
//	ring, err := signer.NewRing(keys)
//	...
//	err = ring.LoadDir(os.DirFS("/run/secrets/alipay"), signer.ParseHMACKey)               // when it changed
//
// Parsers enforce the minimum sizes and say what a key is when it is of the wrong kind. No error of this package
// contains a secret, a signature or a payload.
//
// # Verifying
//
// VerifyRequest is the server's side, VerifyResponse the client's. They say whether a signature is right, not
// whether the message is recent or new: the caller compares its time and remembers nonces if it wants to.
// ErrUnsigned is an error of its own so that the caller can decide whether an answer without a signature will
// do. MACs and credentials are compared in constant time.
package signer
