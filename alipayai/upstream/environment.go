package upstream

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Environment separates test credentials from those that move money.
type Environment string

// The environments of Alipay's platforms.
const (
	Sandbox    Environment = "sandbox"
	Production Environment = "production"
)

// sandboxClientPrefix marks the sandbox client ids of Antom and Alipay+, as
// their official SDKs test for it.
const sandboxClientPrefix = "SANDBOX_"

// CheckEnvironment gives the environment that a provider belongs to, or an
// error when what it is configured with belongs to both. An empty declared
// environment is derived: sandbox for a sandbox host, client id or a profile of
// the simulator, production otherwise.
func CheckEnvironment(declared Environment, profile string, base *url.URL, clientID string) (Environment, error) {
	named := "environment"
	if declared == "" {
		named = "environment is not set; by host and client_id it is"
	}
	sandboxID := strings.HasPrefix(clientID, sandboxClientPrefix)
	sandboxHost := isSandboxHost(base.Hostname()) || profiles[profile].Simulated
	switch declared {
	case "":
		if sandboxID && profile == "global" || sandboxHost {
			declared = Sandbox
		} else {
			declared = Production
		}
	case Sandbox, Production:
	default:
		return "", fmt.Errorf("environment %q is unknown; use sandbox or production", string(declared))
	}
	switch {
	case declared == Production && sandboxHost:
		return "", fmt.Errorf("%s production with the sandbox host %s in base_url: use the production host or environment sandbox", named, base.Host)
	case declared == Production && sandboxID:
		return "", fmt.Errorf("%s production with the sandbox client_id %s: use the production id or environment sandbox", named, clientID)
	case declared == Sandbox && isProductionHost(base.Hostname()) && !(profile == "global" && sandboxID):
		return "", fmt.Errorf("environment sandbox with the production host %s in base_url: use the sandbox host or environment production", base.Host)
	}
	return declared, nil
}

// isSandboxHost knows the Open Platform's sandbox domain, and takes a label
// that says sandbox at its word.
func isSandboxHost(host string) bool {
	host = plainHost(host)
	if host == "alipaydev.com" || strings.HasSuffix(host, ".alipaydev.com") {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		for part := range strings.SplitSeq(label, "-") {
			if part == "sandbox" {
				return true
			}
		}
	}
	return false
}

// isProductionHost knows the hosts of Alipay and Antom that move real money.
func isProductionHost(host string) bool {
	host = plainHost(host)
	return (host == "alipay.com" || strings.HasSuffix(host, ".alipay.com")) && !isSandboxHost(host)
}

// plainHost is host without the ways to write the same one otherwise: upper
// case, and the dot that ends a fully qualified name.
func plainHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// IsLoopback reports whether host (without port) can only be this machine.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
