// Package evidence keeps what an upstream's SYSTEM_ERROR looked like: the
// request that met it, and the whole answer.
//
// Each [Record] becomes an entry of the log in which personal data is redacted
// (see [Redact]), media is replaced by its type, length and hash, and only
// harmless headers stand; and, where a [Vault] is given, a file with the complete
// payloads, sealed with age (https://age-encryption.org/v1) to the operator's
// public key. Headers that carry credentials are in neither: they are left out
// before a record is queued.
//
// A call is never delayed and never fails because of its evidence: it is
// written in the background, and dropped and counted where that cannot keep up.
package evidence
