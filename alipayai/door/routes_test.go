package door

import "testing"

// A parameter of a path is one segment where something follows it, and is there; else it may have several.
func TestParametersOfPaths(t *testing.T) {
	for name, test := range map[string]struct {
		before, after, path string
		param               string
		fits                bool
	}{
		"at the end":           {"/models/", "", "/v1/models/m", "m", true},
		"several segments":     {"/models/", "", "/v1/models/of/one", "of/one", true},
		"none":                 {"/models/", "", "/v1/models/", "", false},
		"below a prefix":       {"/models/", "", "/team/v1/models/m", "m", true},
		"without the version":  {"/models/", "", "/models/m", "", false},
		"before something":     {"/responses/", "/cancel", "/v1/responses/r/cancel", "r", true},
		"several before it":    {"/responses/", "/cancel", "/v1/responses/r/s/cancel", "r/s", false},
		"none before it":       {"/responses/", "/cancel", "/v1/responses//cancel", "", false},
		"without what follows": {"/responses/", "/cancel", "/v1/responses/r", "", false},
	} {
		n := &route{before: test.before, after: test.after, param: true}
		if param, ok := n.fits(test.path); ok != test.fits || ok && param != test.param {
			t.Errorf("%s: %q, %t", name, param, ok)
		}
	}
}
