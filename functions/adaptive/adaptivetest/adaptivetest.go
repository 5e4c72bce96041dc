// Package adaptivetest is a twin of a Workday Adaptive Planning instance's XML API:
// an http.Handler with state. It reads every call as XML, checks the credentials in
// it, and knows the 23 export methods. Its tree of versions has folders inside of
// folders, an empty folder, scenarios and sub-versions of versions, and names that
// have to be escaped. Numbers are made from their place while the answer is written,
// so ten million of them take no memory; what a test sets is kept beside.
//
// [Server.Rows] and [Server.Count] are the oracle. Faults of the network are
// resttest's; NoStatus, WrongCount, Ragged, TwoMessages and WebPage are the API's own.
//
// It writes nothing, knows no users' rights, and does not fill sheets.
package adaptivetest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// The one login there is.
const (
	Login    = "loader@acme.test"
	Password = "adaptive test & password"
	Instance = "ACME1"
	Folder   = "Shared with Data"
)

// Options say what the instance holds and how it answers. The zero value has three
// accounts, four levels and 26 months from November 2025 on.
type Options struct {
	Seed      uint64
	Accounts  int      // default 3
	Levels    int      // default 4; one record for each account and level
	Periods   int      // months; default 26
	Fiscal    bool     // 01/2027 is February 2026: MM is the month of the fiscal year
	Dimension bool     // exportData has the dimension Vendor, whose headers are quoted
	CodeFirst bool     // Level Code stands before Level Name
	Normal    bool     // answers are not streamed: success is said first, and nobody counts
	Text      bool     // the CSV is escaped text, and no CDATA
	Lacks     []string // methods that this instance does not have

	Faults []resttest.Fault // from the start; more with Inject
}

// Version is a version of a plan, or a folder.
type Version struct {
	ID       int
	Name     string
	Type     string // VERSION_FOLDER, PLANNING, ACTUALS, SCENARIO
	Locked   bool
	Children []*Version
}

// Server is the instance. It is safe for concurrent use. The embedded Faults serve
// the requests, count them, and take more faults.
type Server struct {
	*resttest.Faults
	o Options

	mu    sync.Mutex
	tree  []*Version
	set   map[string]string // version/account/level/period → cell
	empty map[int]bool      // versions without a record
	calls map[string]int
}

// New opens an instance.
func New(o Options) *Server {
	for v, def := range map[*int]int{&o.Accounts: 3, &o.Levels: 4, &o.Periods: 26} {
		if *v == 0 {
			*v = def
		}
	}
	s := &Server{o: o, tree: versions(), set: map[string]string{}, empty: map[int]bool{}, calls: map[string]int{}}
	s.Faults = resttest.Wrap(http.HandlerFunc(s.serve), o.Faults...)
	return s
}

func versions() []*Version {
	return []*Version{
		{ID: 1, Name: "Actuals", Type: "ACTUALS"},
		{ID: 40, Name: Folder, Type: "VERSION_FOLDER", Children: []*Version{
			{ID: 41, Name: "FY27 Plan & Stretch", Type: "PLANNING", Locked: true},
			{ID: 42, Name: "Old", Type: "VERSION_FOLDER"}, // empty: no version of that name
			{ID: 43, Name: `July'26 "Fcst" <v2>`, Type: "PLANNING", Children: []*Version{
				{ID: 44, Name: "Downside", Type: "SCENARIO"},
			}},
			{ID: 45, Name: "Deeper", Type: "VERSION_FOLDER", Children: []*Version{
				{ID: 46, Name: "Budget", Type: "PLANNING"},
			}},
		}},
		{ID: 50, Name: "Drafts", Type: "VERSION_FOLDER", Children: []*Version{{ID: 51, Name: "Secret", Type: "PLANNING"}}},
	}
}

// Env is the environment that points the connector at a twin that serves at baseURL.
func (s *Server) Env(baseURL string) map[string]string {
	var accounts []string
	for a := range s.o.Accounts {
		accounts = append(accounts, account(a))
	}
	env := map[string]string{"ADAPTIVE_BASE_URL": baseURL, "ADAPTIVE_LOGIN": Login, "ADAPTIVE_PASSWORD": Password,
		"ADAPTIVE_INSTANCE_CODE": Instance, "ADAPTIVE_FOLDER": Folder, "ADAPTIVE_ACCOUNTS": strings.Join(accounts, ",")}
	if s.o.Dimension {
		env["ADAPTIVE_DIMENSIONS"] = "Vendor"
	}
	return env
}

// Change edits a version, or adds one to the folder it lies in where the instance
// has none of that id.
func (s *Server) Change(id int, edit func(*Version)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := find(s.tree, id); v != nil {
		edit(v)
		return
	}
	v := &Version{ID: id, Type: "PLANNING", Name: fmt.Sprint("Version ", id)}
	edit(v)
	folder := find(s.tree, 40)
	folder.Children = append(folder.Children, v)
}

// Remove takes a version away.
func (s *Server) Remove(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var drop func(vs []*Version) []*Version
	drop = func(vs []*Version) []*Version {
		vs = slices.DeleteFunc(vs, func(v *Version) bool { return v.ID == id })
		for _, v := range vs {
			v.Children = drop(v.Children)
		}
		return vs
	}
	s.tree = drop(s.tree)
}

// SetValue sets a cell: digits, or "" for a blank. Account, level and period count
// from 0.
func (s *Server) SetValue(version, account, level, period int, cell string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[place(version, account, level, period)] = cell
}

// SetEmpty makes a version have no record at all.
func (s *Server) SetEmpty(version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty[version] = true
}

// Calls is how often a method was called with the right credentials.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

func find(vs []*Version, id int) *Version {
	for _, v := range vs {
		if v.ID == id {
			return v
		}
		if c := find(v.Children, id); c != nil {
			return c
		}
	}
	return nil
}

func place(version, account, level, period int) string {
	return fmt.Sprint(version, "/", account, "/", level, "/", period)
}

// call is what the twin reads of a request.
type call struct {
	XMLName     xml.Name `xml:"call"`
	Method      string   `xml:"method,attr"`
	Caller      string   `xml:"callerName,attr"`
	Stream      bool     `xml:"stream,attr"`
	Credentials struct {
		Login    string `xml:"login,attr"`
		Password string `xml:"password,attr"`
		Instance string `xml:"instanceCode,attr"`
	} `xml:"credentials"`
	Version *struct {
		Name    string `xml:"name,attr"`
		Default bool   `xml:"isDefault,attr"`
	} `xml:"version"`
	Accounts []struct {
		Code string `xml:"code,attr"`
	} `xml:"filters>accounts>account"`
	Span *struct {
		Start string `xml:"start,attr"`
		End   string `xml:"end,attr"`
	} `xml:"filters>timeSpan"`
	Dimensions []struct {
		Name string `xml:"name,attr"`
	} `xml:"dimensions>dimension"`
	Rules *struct {
		Blanks bool `xml:"markBlanks,attr"`
		Zeros  bool `xml:"includeZeroRows,attr"`
	} `xml:"rules"`
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	var c call
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/api/v") {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = xml.Unmarshal(body, &c)
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	switch {
	case err != nil || c.Caller == "":
		refuse(w, "error-invalid-request", "The request is not a well-formed call")
		return
	case c.Credentials.Login != Login || c.Credentials.Password != Password || c.Credentials.Instance != Instance:
		refuse(w, "error-authentication-failure", "Invalid login")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[c.Method]++
	answer := answers[c.Method]
	switch {
	case slices.Contains(s.o.Lacks, c.Method) || answer == nil && c.Method != "exportData":
		refuse(w, "error-unknown-method", "Method "+c.Method+" is not available")
	case c.Method == "exportData":
		s.data(w, c)
	default:
		fmt.Fprint(w, xml.Header+`<response success="true"><output>`)
		answer(s, w)
		fmt.Fprint(w, `</output></response>`)
	}
}

func refuse(w io.Writer, key, text string) {
	fmt.Fprintf(w, `%s<response success="false"><messages><message key="%s" type="ERROR">%s</message></messages></response>`, xml.Header, key, text)
}

// escape makes an attribute's value.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
