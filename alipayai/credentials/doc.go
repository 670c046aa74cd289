// Package credentials is the leak check: it keeps the gateway's secrets out of
// everything that leaves the process. Upstreams, token endpoints, stores and the
// sinks of alerts may repeat what they were sent.
//
// A [Filter] knows the live secrets. A text holds one where 12 characters in a
// row are those of a secret, in one of its forms:
//
//   - as it is, and what it stands for in base64, hexadecimal digits or percent-encoding
//   - base64, standard or for URLs, padded or not, at any offset in an encoded text
//   - hexadecimal digits, also with colons, dashes, dots or commas between them
//   - two of these after each other
//   - base32, at any offset; quoted-printable
//
// Upper and lower case, white space, control and invisible characters make no
// difference, nor do percent-encoding, escapes of JSON and character references of
// HTML, up to four deep. A secret of 8 to 11 characters is found whole; a shorter
// one is not looked for, since it would be found everywhere.
//
// The ways out, and where the filter stands:
//
//	the client's headers     alipayai: Answer.Describe; of the signing transport: Exchange.PassOn
//	                         for the header and the trailer, Exchange.traced for 1xx
//	the client's errors      alipayai: call.refused, call.broken, Provider.failed; bodies of status 402;
//	                         of the signing transport: Exchange.PassOn, for status >= 300
//	the access log           alipayai: settle, for what the gateway adds; the headers are the client's
//	the process's log        [Filter.Log], around the core of every logger
//	alerts                   alert.Options.Credentials
//	evidence, log and sealed alipayai: recordEvidence
//	metrics                  labels are codes from a fixed list: failure.Known
//	token endpoints' errors  token: Grant.Fetch
//
// The contents of answers are not filtered: they belong to the client.
package credentials
