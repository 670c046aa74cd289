// Package stored keeps in Caddy's storage what has to outlive the process: the consents of tenants' users and the records of
// keys and suites, where no store shares them, and the newest refresh tokens. Replicas with one storage share all of it.
package stored
