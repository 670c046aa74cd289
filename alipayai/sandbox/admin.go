package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
)

const (
	adminPrefix   = "/_sandbox/"
	maxAdminBody  = 1 << 20
	codeForbidden = "FORBIDDEN"
)

// serveAdmin answers /_sandbox/*, for peers on a loopback address only: whoever
// may set faults may stop the service.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().IsLoopback() {
		writeAdmin(w, http.StatusForbidden, apiError{codeForbidden, "/_sandbox/ answers loopback peers only"})
		return
	}
	if user, ok := strings.CutPrefix(r.URL.Path, "/_sandbox/users/"); ok && r.Method == http.MethodDelete {
		s.serveUsers(w, user)
		return
	}
	switch r.URL.Path + " " + r.Method {
	case "/_sandbox/stats GET":
		writeAdmin(w, http.StatusOK, s.Stats())
	case "/_sandbox/stats DELETE":
		s.ResetStats()
		w.WriteHeader(http.StatusNoContent)
	case "/_sandbox/faults GET":
		writeAdmin(w, http.StatusOK, faultsAnswer{append([]Fault{}, s.Faults()...)})
	case "/_sandbox/faults PUT":
		s.putFaults(w, r)
	case "/_sandbox/faults DELETE":
		_ = s.SetFaults() // an empty list has no fault to refuse
		w.WriteHeader(http.StatusNoContent)
	default:
		writeAdmin(w, http.StatusNotFound, apiError{codeInvalidAPI,
			"want GET, PUT or DELETE /_sandbox/faults, or GET or DELETE /_sandbox/stats, or DELETE /_sandbox/users/<user>"})
	}
}

type faultsAnswer struct {
	Faults []Fault `json:"faults"`
}

func (s *Server) putFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	var faults []Fault
	if err == nil {
		faults, err = parseFaults(body)
	}
	if err == nil {
		err = s.SetFaults(faults...)
	}
	if err != nil {
		writeAdmin(w, http.StatusBadRequest, apiError{codeParam, err.Error()})
		return
	}
	writeAdmin(w, http.StatusOK, faultsAnswer{append([]Fault{}, s.Faults()...)})
}

func writeAdmin(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the peer may be gone
}

// Interface guard
var _ http.Handler = (*Server)(nil)
