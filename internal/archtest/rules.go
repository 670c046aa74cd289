// Package archtest holds the directions in which the packages of this module
// look at each other:
//
//	caddy -> alipayai -> { signer, limiter, failover }
//
// Nothing points back, the three know nothing of each other, and Caddy itself
// is known to caddy/ and internal/ alone. The package has no use outside of its
// own test.
package archtest

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// module is the path of this module; its packages are named relative to it.
	module = "github.com/caddy-alipayai/gateway"

	// caddyModule is what the domain and the libraries must stay free of.
	caddyModule = "github.com/caddyserver/caddy"
)

// A room is a folder of the repository, and what its packages may look at. A
// room within a room, such as alipayai/wire, is one of its own.
type room struct {
	// imports are the rooms whose packages it may import besides its own. Each is
	// one that it does import: an arrow that is not needed is taken out.
	imports []string

	// folders says that the folders in it belong to it: each is one more of the same
	// kind, such as a client's dialect. In others, each is a room of its own.
	folders bool

	// product says that it may import every room of the product, whichever there are.
	product bool

	// caddy says that it may depend on Caddy, itself or through others.
	caddy bool
}

// rooms is the picture. A package without a room is a violation: a new folder is
// drawn here first.
var rooms = map[string]room{
	"signer":           {},
	"limiter":          {imports: []string{"internal/redisstore"}},
	"failover":         {imports: []string{"internal/redisstore"}},
	"failover/balance": {},
	"failover/canary":  {imports: []string{"internal/redisstore", "internal/batches"}},
	"alipayai/wire":    {folders: true},
	"alipayai/sandbox": {},
	// How requests leave, and what must not leave.
	"alipayai/outgoing":      {imports: []string{"alipayai/outgoing/pool"}},
	"alipayai/outgoing/pool": {},
	"alipayai/credentials":   {},
	// What a call leaves behind, and the outside hears of.
	"alipayai/replay":   {imports: []string{"internal/redisstore", "internal/expiring"}},
	"alipayai/holds":    {imports: []string{"internal/redisstore"}},
	"alipayai/evidence": {},
	// Whose calls are.
	"alipayai/tenants": {},
	// Where what a call carries may be.
	"alipayai/residency": {},
	"alipayai/alert":     {imports: []string{"alipayai/outgoing", "alipayai/credentials"}},
	"alipayai/failure":   {imports: []string{"limiter", "failover", "alipayai/wire"}},
	"alipayai/token":     {imports: []string{"alipayai/failure", "alipayai/outgoing", "alipayai/credentials", "alipayai/wire", "internal/redisstore", "internal/seal"}},
	// One way out to a provider.
	"alipayai/upstream": {imports: []string{
		"signer", "limiter", "failover", "alipayai/failure", "alipayai/token", "alipayai/outgoing", "alipayai/credentials", "alipayai/wire", "alipayai/replay", "alipayai/residency",
	}},
	// What calls cost.
	"alipayai/price":  {},
	"alipayai/ledger": {imports: []string{"alipayai/price", "internal/redisstore", "internal/seal"}},
	"alipayai/budget": {imports: []string{"alipayai/price", "internal/redisstore"}},
	// Capabilities of a call, which do not know each other.
	"alipayai/moderate":  {imports: []string{"alipayai/wire", "internal/expiring"}},
	"alipayai/pack":      {imports: []string{"alipayai/wire"}},
	"alipayai/toolcheck": {imports: []string{"alipayai/wire"}},
	"alipayai/intent":    {imports: []string{"internal/expiring"}},
	// A call, and what it is made of.
	"alipayai": {imports: []string{
		"limiter", "failover", "failover/balance", "failover/canary", "alipayai/upstream", "alipayai/failure", "alipayai/credentials", "alipayai/wire", "alipayai/replay",
		"alipayai/evidence", "alipayai/price", "alipayai/ledger", "alipayai/budget", "alipayai/residency", "alipayai/pack", "alipayai/toolcheck", "alipayai/moderate", "alipayai/tenants",
	}},
	// What the gateway asks a model itself.
	"alipayai/asked": {imports: []string{"alipayai", "alipayai/upstream", "alipayai/wire", "alipayai/residency"}},
	// What operators ask a provider.
	"alipayai/doctor": {imports: []string{
		"signer", "limiter", "alipayai/upstream", "alipayai/failure", "alipayai/token", "alipayai/credentials", "alipayai/wire",
	}},
	// When keys are rotated, and which one signs.
	"alipayai/calendar": {imports: []string{
		"signer", "limiter", "alipayai/upstream", "alipayai/failure", "alipayai/wire", "internal/record",
	}},
	// What comes after a call: a copy of it, to compare.
	"alipayai/shadow": {imports: []string{"limiter", "alipayai", "alipayai/upstream", "alipayai/failure", "alipayai/wire", "alipayai/toolcheck", "internal/batches"}},
	// Prompts that are asked again and again.
	"alipayai/suite": {imports: []string{"alipayai/toolcheck", "internal/record"}},
	// What tenants' users have authorised.
	"alipayai/consent": {imports: []string{"alipayai/token", "alipayai/replay", "alipayai/upstream", "internal/redisstore", "internal/expiring", "internal/seal"}},
	// A door for each dialect of clients.
	"alipayai/door": {folders: true, imports: []string{"alipayai", "alipayai/upstream", "alipayai/failure", "alipayai/wire", "alipayai/replay"}},
	// What the adapter and its libraries use.
	"internal/batches":    {},
	"internal/expiring":   {},
	"internal/filewatch":  {},
	"internal/record":     {imports: []string{"internal/redisstore"}},
	"internal/redisstore": {},
	"internal/seal":       {},
	// The commands of operators, which know of the modules what these tell them.
	"caddy/command": {caddy: true, imports: []string{
		"signer", "failover/canary", "alipayai/upstream", "alipayai/doctor", "alipayai/calendar", "alipayai/evidence",
		"alipayai/intent", "alipayai/ledger", "alipayai/shadow", "alipayai/suite", "alipayai/tenants",
	}},
	// The way of requests through a server's routes.
	"caddy/routes": {caddy: true},
	// What Caddy's storage keeps.
	"caddy/stored": {imports: []string{"alipayai/consent", "alipayai/token", "alipayai/replay", "internal/record", "internal/seal"}},
	"caddy":        {folders: true, caddy: true, product: true},
	// Test helpers, benchmark and tests.
	"internal": {folders: true, caddy: true, product: true, imports: []string{"caddy"}},
}

// notOfProduct are the rooms that rooms of the product do not look at.
var notOfProduct = []string{"internal", "caddy"}

// topLevel names what may stand at the top of the repository besides dotfiles,
// and whether it must. A folder that has nothing to hold yet does not exist.
var topLevel = map[string]bool{
	"alipayai":          true,
	"signer":            true,
	"failover":          false,
	"limiter":           false,
	"caddy":             true,
	"internal":          true,
	"Caddyfile.example": true,
	"xcaddy.md":         true,
	"README.md":         true,
	"LICENSE":           true,
	"go.mod":            true,
	"go.sum":            true,
}

// pkg is one package as `go list -json` describes it.
type pkg struct {
	ImportPath string
	Imports    []string // what it imports itself
	Deps       []string // what it depends on, itself or through others
}

// roomOf names the room that an import path of this module belongs to: the folder itself, or the
// deepest above it that takes folders in.
func roomOf(importPath string) (string, bool) {
	path, ok := strings.CutPrefix(importPath, module+"/")
	for dir := path; ok; {
		if r, found := rooms[dir]; found {
			return dir, dir == path || r.folders
		}
		i := strings.LastIndexByte(dir, '/')
		if i < 0 {
			break
		}
		dir = dir[:i]
	}
	return "", false
}

// mayImport reports whether packages of r may import those of another room.
func (r room) mayImport(to string) bool {
	return slices.Contains(r.imports, to) || r.product && !slices.Contains(notOfProduct, to)
}

// superfluous lists, sorted, the rooms without a package in pkgs, and the arrows that no import needs.
func superfluous(pkgs []pkg) []string {
	used := make(map[string]map[string]bool)
	for _, p := range pkgs {
		from, _ := roomOf(p.ImportPath)
		if used[from] == nil {
			used[from] = make(map[string]bool)
		}
		for _, imported := range p.Imports {
			if to, ok := roomOf(imported); ok {
				used[from][to] = true
			}
		}
	}
	var found []string
	for name, r := range rooms {
		if used[name] == nil {
			found = append(found, fmt.Sprintf("%s has no package", name))
			continue
		}
		for _, to := range r.imports {
			if !used[name][to] {
				found = append(found, fmt.Sprintf("%s imports nothing of %s", name, to))
			}
		}
	}
	slices.Sort(found)
	return found
}

// violations lists, sorted, each import in pkgs that the picture does not allow.
func violations(pkgs []pkg) []string {
	var found []string
	for _, p := range pkgs {
		from, ok := roomOf(p.ImportPath)
		if !ok {
			found = append(found, fmt.Sprintf("%s belongs to no room", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			if !within(imported, module) {
				continue
			}
			to, ok := roomOf(imported)
			if !ok || to != from && !rooms[from].mayImport(to) {
				found = append(found, fmt.Sprintf("%s must not import %s", p.ImportPath, imported))
			}
		}
		if rooms[from].caddy {
			continue
		}
		if i := slices.IndexFunc(p.Deps, func(dep string) bool { return within(dep, caddyModule) }); i >= 0 {
			found = append(found, fmt.Sprintf("%s must not depend on %s", p.ImportPath, p.Deps[i]))
		}
	}
	slices.Sort(found)
	return found
}

// strays lists, sorted, the names that may not stand at the top of the repository.
func strays(names []string) []string {
	var found []string
	for _, name := range names {
		if _, ok := topLevel[name]; !ok && !strings.HasPrefix(name, ".") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// within reports whether an import path is the module's root or lies below it.
func within(importPath, root string) bool {
	rest, ok := strings.CutPrefix(importPath, root)
	return ok && (rest == "" || rest[0] == '/')
}
