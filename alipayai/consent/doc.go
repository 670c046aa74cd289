// Package consent keeps what the users of tenants have authorised at a provider: each of a tenant's users
// once, by a page of the vendor, after which calls that name the user carry the user's own access token.
//
// A user gets there in three steps, of which each is good once and for [Life]:
//
//	link      the tenant's server asks for an address for one of its users   Link
//	begin     the user's browser opens it, and goes on to the vendor's page  Begin
//	finish    the vendor sends the browser back with a code                  Finish
//
// What is known between the steps is in the address and in a cookie, sealed: it outlives the process, and no
// store has to hold it. The store has a mark of each that was used, and of each user what was authorised.
//
// The cookie is bound to the browser that began and the state to the cookie: a code that comes with
// another browser, or with the state of another beginning, is not exchanged. Whether the person before the
// browser is the tenant's user is for the tenant to see to: it gives the address to the user it has
// authenticated, and compares the state of its own that comes back with the result.
package consent
