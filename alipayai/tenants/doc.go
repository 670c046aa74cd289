// Package tenants knows what tenants may be called, and finds the one that a bearer key belongs to. Of a key nothing but its
// hash is kept.
package tenants
