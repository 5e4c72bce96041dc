package adaptivetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/millrace-data/millrace/shared/rest/resttest"
)

// answers are the outputs of the methods that answer with a tree. Those that nobody
// was seen to use have invented shapes.
var answers = map[string]func(*Server, io.Writer){
	"exportVersions": (*Server).versions,
	"exportTime":     (*Server).time,
	"exportAccounts": func(s *Server, w io.Writer) {
		fmt.Fprint(w, `<accounts seqNo="7"><account id="1" code="TOTAL" name="Total &amp; all">`)
		for a := range s.o.Accounts {
			fmt.Fprintf(w, `<account id="%d" code="%s" name="Account %d"><attributes><attribute attributeId="5" value="yes"/></attributes></account>`, 10+a, account(a), a)
		}
		fmt.Fprint(w, `</account></accounts>`)
	},
	"exportLevels": func(s *Server, w io.Writer) {
		fmt.Fprint(w, `<levels seqNo="3"><level id="1" name="Total Co" currency="USD">`)
		for l := range min(s.o.Levels, 100) {
			fmt.Fprintf(w, `<level id="%d" code="%s" name="Level, %d"/>`, 100+l, level(l), l)
		}
		fmt.Fprint(w, `</level></levels>`)
	},
	"exportDimensions":            text(`<dimensions seqNo="2"><dimension id="3" name="Vendor"><dimensionValue id="31" code="V0" name="Vendor &quot;0&quot;"/><dimensionValue id="32" code="V1" name="Vendor &quot;1&quot;"/></dimension></dimensions>`),
	"exportAttributes":            text(`<attributes seqNo="1"><attribute id="5" name="Region" type="level"><attributeValue id="51" name="North"/></attribute></attributes>`),
	"exportUsers":                 text(`<users seqNo="4"><user id="9" login="mira@acme.test" name="Mira"><groups><group id="2"/></groups></user></users>`),
	"exportGroups":                text(`<groups seqNo="1"/>`),
	"exportPermissionSet":         text(`<permission_sets><permission_set id="1" name="Admin"/></permission_sets>`), // the singular: this instance does not know the plural
	"exportActiveCurrencies":      text(`<currencies><currency id="1" code="USD" precision="2"/><currency id="2" code="EUR" precision="2"/></currencies>`),
	"exportInstances":             text(`<instances><instance code="ACME1" name="Acme"/></instances>`),
	"exportSheets":                text(`<sheets><sheet id="3" name="Headcount" type="MODELED"/><sheet id="4" name="Opex" type="STANDARD"/></sheets>`),
	"exportSheetDefinition":       text(`<sheet-definition id="3"><column name="Grade" type="text"/></sheet-definition>`),
	"exportModeledSheet":          text(`<modeled-sheet name="Headcount"><row id="1" name="R1"/></modeled-sheet>`),
	"exportConfigurableModelData": text("<data><![CDATA[Row Id,Name,01/2026\n1,\"Holt, Mira\",2.0\n2,Ann,1.0\n]]></data>"),
	"exportRoles":                 text(`<roles><role id="1" name="Analyst"/></roles>`),
	"exportSecurityAudit":         text(`<audit><entry user="9" time="2026-01-02" action="login"/></audit>`),
	"exportTransactionDefinition": text(`<definition id="1"><field name="Amount"/></definition>`),
	"exportCustomerLogo":          text(`<logo name="acme">aGVsbG8=</logo>`),
	"exportDimensionFamilies":     text(`<families><family id="1" name="Products"/></families>`),
	"exportDimensionMapping":      text(`<mappings/>`),
	"exportLocales":               text(`<locales><locale code="en_US" name="English"/><locale code="de_DE" name="Deutsch"/></locales>`),
}

func text(s string) func(*Server, io.Writer) {
	return func(_ *Server, w io.Writer) { fmt.Fprint(w, s) }
}

func (s *Server) versions(w io.Writer) {
	fmt.Fprint(w, `<versions seqNo="32">`)
	var write func(vs []*Version)
	write = func(vs []*Version) {
		for _, v := range vs {
			fmt.Fprintf(w, `<version id="%d" name="%s" shortName="" type="%s" isVirtual="false" isDefaultVersion="%t" isLocked="%t" enabledForWorkflow="0" isImportable="1" startVer="%s" endVer="%s">`,
				v.ID, escape(v.Name), v.Type, v.ID == 1, v.Locked, s.code(0), s.code(s.o.Periods-1))
			write(v.Children)
			fmt.Fprint(w, `</version>`)
		}
	}
	write(s.tree)
	fmt.Fprint(w, `</versions>`)
}

// time has years with their months; quarters are left out.
func (s *Server) time(w io.Writer) {
	fmt.Fprintf(w, `<time seqNo="1" isCustom="%d"><stratum id="1" code="year" label="Year"/><stratum id="2" code="month" label="Month"/>`, map[bool]int{true: 1}[s.o.Fiscal])
	for p := 0; p < s.o.Periods; {
		year, last := s.month(p).Year(), p
		for last < s.o.Periods && s.month(last).Year() == year {
			last++
		}
		fmt.Fprintf(w, `<period code="%d" id="%d" stratumId="1" label="FY%d" end="%s">`, year, year, year, s.begin(last).Format("2006-01-02"))
		for ; p < last; p++ {
			fmt.Fprintf(w, `<period code="%s" id="%d" stratumId="2" shortName="%s" end="%s"/>`, s.code(p), 10000+p, s.code(p)[:2], s.begin(p+1).Format("2006-01-02"))
		}
		fmt.Fprint(w, `</period>`)
	}
	fmt.Fprint(w, `</time>`)
}

// Number is one row that reporting must have.
type Number struct {
	Version, Name, Account, Level, Period, Start string
	Value                                        string // "" = null
}

// Rows are all numbers of the folder, as of now.
func (s *Server) Rows() (out []Number) {
	s.mu.Lock()
	defer s.mu.Unlock()
	walk(find(s.tree, 40).Children, func(v *Version) {
		if v.Type == "VERSION_FOLDER" || s.empty[v.ID] {
			return
		}
		for a := range s.o.Accounts {
			for l := range s.o.Levels {
				for p := range s.o.Periods {
					out = append(out, Number{strconv.Itoa(v.ID), v.Name, account(a), level(l), s.code(p), s.begin(p).Format("2006-01-02"), s.cell(v.ID, a, l, p)})
				}
			}
		}
	})
	return out
}

// Count is how many rows a table must have: reporting and versions, -1 of others.
func (s *Server) Count(table string) int {
	switch table {
	case "reporting":
		return len(s.Rows())
	case "versions":
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		walk(s.tree, func(*Version) { n++ })
		return n
	}
	return -1
}

// NoStatus takes the end off a streamed answer: XML that is well-formed and cut short.
func NoStatus() resttest.Effect {
	return resttest.Rewrite(func(b []byte) []byte { return without(b, "<status ", "/>") })
}

// WrongCount lets the vendor say that it sent one record more.
func WrongCount() resttest.Effect {
	return resttest.Rewrite(func(b []byte) []byte {
		return bytes.Replace(b, []byte(`rowCountSent="`), []byte(`rowCountSent="1`), 1)
	})
}

// Ragged takes the last cell off the last record.
func Ragged() resttest.Effect {
	return resttest.Rewrite(func(b []byte) []byte {
		end := bytes.Index(b, []byte("\n]]>"))
		comma := bytes.LastIndexByte(b[:end], ',')
		return append(bytes.Clone(b[:comma]), b[end:]...)
	})
}

// TwoMessages refuses with two messages, as status code.
func TwoMessages(code int) resttest.Effect {
	return resttest.Status(code, `<response success="false"><messages><message key="error-a" type="ERROR">first thing</message><message key="error-b">second &amp; last</message></messages></response>`)
}

// WebPage answers 200 with well-formed XHTML.
func WebPage() resttest.Effect {
	return resttest.Status(http.StatusOK, `<?xml version="1.0"?><html><body>Maintenance</body></html>`)
}

// Refuse is a fault that refuses every call from now on.
func Refuse() resttest.Fault {
	return resttest.Fault{Times: -1, Do: resttest.Status(http.StatusOK, `<response success="false"><messages><message key="error-unknown-method">The method is not available</message></messages></response>`)}
}

func without(b []byte, from, to string) []byte {
	a := bytes.Index(b, []byte(from))
	z := a + bytes.Index(b[a:], []byte(to)) + len(to)
	return append(bytes.Clone(b[:a]), b[z:]...)
}
