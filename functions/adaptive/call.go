package adaptive

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"

	"github.com/millrace-data/millrace/shared/rest"
)

// caller is how the instance's audit log calls us.
const caller = "millrace"

// call is a request. What a method takes beside the credentials is optional.
type call struct {
	XMLName     xml.Name    `xml:"call"`
	Method      string      `xml:"method,attr"`
	Caller      string      `xml:"callerName,attr"`
	Stream      bool        `xml:"stream,attr,omitempty"`
	Credentials credentials `xml:"credentials"`
	Include     *include    `xml:"include"`
	Version     *versionRef `xml:"version"`
	Sheet       *sheetRef   `xml:"sheet"`
	Modeled     *modeledRef `xml:"modeled-sheet"`
	Format      *format     `xml:"format"`
	Filters     *filters    `xml:"filters"`
	Dimensions  *dimensions `xml:"dimensions"`
	Rules       *rules      `xml:"rules"`
}

type credentials struct {
	Login    string `xml:"login,attr"`
	Password string `xml:"password,attr"`
	Instance string `xml:"instanceCode,attr,omitempty"`
}

type include struct {
	DimensionValues bool `xml:"dimensionValues,attr,omitempty"`
}

type versionRef struct {
	Name    string `xml:"name,attr,omitempty"`
	Default bool   `xml:"isDefault,attr"`
}

type sheetRef struct {
	ID   string `xml:"id,attr,omitempty"`
	Name string `xml:"name,attr,omitempty"`
}

type modeledRef struct {
	Name    string `xml:"name,attr"`
	Columns bool   `xml:"includeAllColumns,attr"`
	Rows    bool   `xml:"isGetAllRows,attr"`
}

type format struct {
	InternalCodes bool `xml:"useInternalCodes,attr"`
	Codes         bool `xml:"includeCodes,attr"`
	Names         bool `xml:"includeNames,attr"`
	Unmapped      bool `xml:"includeUnmappedItems,attr"`
}

type filters struct {
	Accounts []accountRef `xml:"accounts>account"`
	Levels   []levelRef   `xml:"levels>level,omitempty"`
	Span     *timeSpan    `xml:"timeSpan"`
}

type accountRef struct {
	Code        string `xml:"code,attr"`
	Assumption  bool   `xml:"isAssumption,attr"`
	Descendants bool   `xml:"includeDescendants,attr"`
}

type levelRef struct {
	Name        string `xml:"name,attr"`
	Rollup      bool   `xml:"isRollup,attr"`
	Descendants bool   `xml:"includeDescendants,attr"`
}

type timeSpan struct {
	Start string `xml:"start,attr"`
	End   string `xml:"end,attr"`
}

type dimensions struct {
	Names []dimensionRef `xml:"dimension"`
}

type dimensionRef struct {
	Name string `xml:"name,attr"`
}

type rules struct {
	ZeroRows       bool     `xml:"includeZeroRows,attr"`
	RollupAccounts bool     `xml:"includeRollupAccounts,attr"`
	RollupLevels   bool     `xml:"includeRollupLevels,attr"`
	MarkBlanks     bool     `xml:"markBlanks,attr"`
	TimeRollups    bool     `xml:"timeRollups,attr"`
	Currency       currency `xml:"currency"`
}

// currency has exactly one attribute.
type currency struct {
	Corporate bool   `xml:"useCorporate,attr,omitempty"`
	Override  string `xml:"override,attr,omitempty"`
}

// send makes a call and returns the whole answer. Whoever reads it looks at its
// envelope: only that of a short one was looked at here.
func (i *instance) send(ctx context.Context, c call) (*rest.Body, error) {
	c.Caller = caller
	c.Credentials = credentials{i.cfg.Login, i.cfg.Password.Reveal(), i.cfg.InstanceCode}
	body, err := xml.Marshal(c)
	if err != nil {
		return nil, err
	}
	b, err := i.client.Send(ctx, rest.Request{Method: http.MethodPost, Body: append([]byte(xml.Header), body...)})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Method, err)
	}
	return b, nil
}
