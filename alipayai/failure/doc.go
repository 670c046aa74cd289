// Package failure says what goes wrong with a call and what follows from it.
//
// An upstream's words become a [Class] in one place ([Classify] in classify.go): the rules
// come first, those of the configuration before the profile's, then the codes that are
// known ([classes] in classes.go, [kinds] in kinds.go, and GLM's numbers in numbers.go), a
// number that is an HTTP status, the types that are known, and then the HTTP status of the
// answer. A class then says all that the gateway does about it ([Class.Policy]):
//
//	class          same provider          next provider  breaker  evidence  seen by the client under a 200
//	fail           no                     if it is only unsupported here    502
//	retry          after a backoff        yes            -        -         503
//	refresh_token  once, with a new token yes            -        -         502
//	resign         once the clock is set  yes            -        -         502
//	throttle       after Retry-After, where it is the only one    yes       429
//	system_error   no                     yes            counts   recorded  502
//	blocked        no                     no             -        -         403
//	reauthorise    no                     yes            -        -         502
//	account_exhausted no                  yes            -        -         502
//
// codes.go has the gateway's own codes, new.go makes the failures that they
// belong to, and failure.go is what is known of one. reason.go keeps what must not be
// shown out of an operator's log, retryafter.go reads how long to wait, phrases.go tells
// what only the message says, be it another status than the vendor's, and quoted.go what in it is the client's own, toolong.go a
// conversation that is too long for the model, or for the account, in whichever words,
// model.go a model that the vendor has not, endpoint.go an API that has no such endpoint,
// and owner.go keeps what names the gateway's account from clients.
package failure
