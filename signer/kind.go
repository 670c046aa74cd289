package signer

// KeyType is what a scheme's keys are.
type KeyType int

// The types of keys.
const (
	// KeyNone: nothing is sent, and nothing signed.
	KeyNone KeyType = iota
	// KeyToken: a secret that is sent as it is.
	KeyToken
	// KeySecret: a secret that both sides sign with.
	KeySecret
	// KeyRSA: a private key, and the vendor's public ones.
	KeyRSA
)

// Kind is what those who configure a scheme, or send requests by it, have to know
// of it. A scheme says it of itself here, so that no other package compares names.
type Kind struct {
	// Name, as a configuration spells it.
	Name string
	// Key is what Config has to hold.
	Key KeyType
	// OpenPlatform: the scheme has an app's certificates and a merchant's token.
	OpenPlatform bool
	// Nonce: each message needs one, see Message.Nonce.
	Nonce bool
	// SignsParameters: what is signed are the parameters of a query and a form. A
	// JSON body cannot be, and Sign checks by itself whose parameters they are.
	SignsParameters bool
	// RequestID names the header field with the request's id; empty for none.
	RequestID string
	// New makes the scheme.
	New func(Config) (Scheme, error)

	target func(clientID, target string) string
}

// Config is all that a scheme may be made of. Each takes the keys of its
// KeyType, and what it knows of the rest.
type Config struct {
	// ClientID is the client's or the app's id.
	ClientID string
	Tokens   *Ring[string]
	Secrets  *Ring[*HMACKey]
	RSAKeys
	// Header is the field that holds the token, for the scheme header.
	Header string
	// For these see OpenAPIConfig.
	AppCertSN, RootCertSN, AppAuthToken string
}

// kinds has every scheme. What a scheme says of itself stands beside it.
var kinds = []*Kind{kindHMAC, kindOpenAPIV3, kindOpenAPIV2, kindGlobal, kindBearer, kindHeader}

// made is a scheme, or nil with its error: a nil pointer in an interface is not nil.
func made[S Scheme](s S, err error) (Scheme, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// noKind is how a request is sent that no scheme is named for.
var noKind = &Kind{New: func(Config) (Scheme, error) { return nil, nil }}

// KindOf gives the kind of a name in Names, which is not to be changed; nil for
// others. The empty name has one that signs nothing, whose New gives no scheme.
func KindOf(name string) *Kind {
	if name == "" {
		return noKind
	}
	for _, k := range kinds {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// Names lists the schemes of this package.
func Names() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.Name
	}
	return names
}

// Signs reports whether requests are signed over their bytes, as against carrying
// a fixed key.
func (k *Kind) Signs() bool { return k.Key == KeySecret || k.Key == KeyRSA }

// Target gives the target to send, and so to sign, of a client: some vendors have
// another one for the clients of their sandbox.
func (k *Kind) Target(clientID, target string) string {
	if k.target == nil {
		return target
	}
	return k.target(clientID, target)
}
