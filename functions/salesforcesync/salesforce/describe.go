package salesforce

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/rest"
	"github.com/millrace-data/millrace/shared/reverse"
)

// types are Salesforce's types of fields. What is not among them, such as address,
// location and base64, is not written.
var types = map[string]reverse.FieldType{
	"string": reverse.TextType, "textarea": reverse.TextType, "email": reverse.TextType, "phone": reverse.TextType,
	"url": reverse.TextType, "encryptedstring": reverse.TextType, "combobox": reverse.TextType,
	"int": reverse.NumberType, "double": reverse.NumberType, "currency": reverse.NumberType, "percent": reverse.NumberType, "long": reverse.NumberType,
	"boolean": reverse.BooleanType, "date": reverse.DateType, "datetime": reverse.TimestampType, "time": reverse.TimeType,
	"picklist": reverse.PicklistType, "multipicklist": reverse.MultiType,
	"id": reverse.IDType, "reference": reverse.IDType,
}

// description is what we read of a describe.
type description struct {
	Name       string       `json:"name"`
	KeyPrefix  string       `json:"keyPrefix"`
	Createable bool         `json:"createable"`
	Updateable bool         `json:"updateable"`
	Deletable  bool         `json:"deletable"`
	Queryable  bool         `json:"queryable"`
	Fields     []fieldShape `json:"fields"`
}

type fieldShape struct {
	Name                string   `json:"name"`
	Type                string   `json:"type"`
	Length              int      `json:"length"`
	Precision           int      `json:"precision"`
	Scale               int      `json:"scale"`
	Digits              int      `json:"digits"` // of an int
	Nillable            bool     `json:"nillable"`
	Createable          bool     `json:"createable"`
	Updateable          bool     `json:"updateable"`
	DefaultedOnCreate   bool     `json:"defaultedOnCreate"`
	Calculated          bool     `json:"calculated"`
	AutoNumber          bool     `json:"autoNumber"`
	DeprecatedAndHidden bool     `json:"deprecatedAndHidden"`
	ExternalID          bool     `json:"externalId"`
	IDLookup            bool     `json:"idLookup"`
	Unique              bool     `json:"unique"`
	CaseSensitive       bool     `json:"caseSensitive"`
	RestrictedPicklist  bool     `json:"restrictedPicklist"`
	ReferenceTo         []string `json:"referenceTo"`
	PicklistValues      []struct {
		Value  string `json:"value"`
		Active bool   `json:"active"`
	} `json:"picklistValues"`
}

var identifier = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// checkNames keeps what is no name out of paths and queries.
func checkNames(names ...string) error {
	for _, n := range names {
		if !identifier.MatchString(n) {
			return fault.New(fault.Invalid, "%q is not the API name of an object or a field", n)
		}
	}
	return nil
}

// Describe returns an object as the running user sees it. It is asked for once in the
// life of a Client, and what is returned must not be changed.
func (c *Client) Describe(ctx context.Context, object string) (*reverse.Object, error) {
	if err := checkNames(object); err != nil {
		return nil, err
	}
	name := strings.ToLower(object)
	c.mu.Lock()
	o := c.objects[name]
	c.mu.Unlock()
	if o != nil {
		return o, nil
	}
	var d description
	err := c.call(ctx, rest.Request{Path: c.path("/sobjects/" + object + "/describe")}, nil, &d)
	if errors.Is(err, errType) || errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "Salesforce has no object %s that the user may see: %v", object, err)
	}
	if err != nil {
		return nil, err
	}
	if len(d.Fields) == 0 {
		return nil, fault.New(fault.Corrupt, "describe of %s names no fields", object)
	}
	o = d.object()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[name] = o
	return o, nil
}

func (d *description) object() *reverse.Object {
	o := &reverse.Object{Name: d.Name, Creatable: d.Createable, Updatable: d.Updateable, Deletable: d.Deletable,
		Readable: d.Queryable, Prefix: d.KeyPrefix, Fields: make([]reverse.Field, 0, len(d.Fields))}
	for i := range d.Fields {
		f := d.Fields[i].field()
		o.Fields = append(o.Fields, f)
		switch strings.ToLower(f.Name) {
		case "createdbyid":
			o.Creator = f.Name
		case "lastmodifiedbyid":
			o.Editor = f.Name
		}
	}
	return o
}

func (f *fieldShape) field() reverse.Field {
	kind := cmp.Or(types[f.Type], reverse.OtherType)
	ours := kind != reverse.OtherType && !f.Calculated && !f.AutoNumber && !f.DeprecatedAndHidden
	out := reverse.Field{
		Name: f.Name, Type: kind, Length: f.Length, Precision: f.Precision, Scale: f.Scale,
		Nullable: f.Nillable, Creatable: f.Createable && ours, Updatable: f.Updateable && ours, Defaulted: f.DefaultedOnCreate,
		Key: f.ExternalID || f.IDLookup, Unique: f.Unique || f.Type == "id", CaseSensitive: f.CaseSensitive,
		Restricted: f.RestrictedPicklist, References: f.ReferenceTo,
	}
	if f.Type == "int" && f.Precision == 0 {
		out.Precision = f.Digits
	}
	for _, v := range f.PicklistValues {
		if v.Active {
			out.Values = append(out.Values, v.Value)
		}
	}
	return out
}

// field is a field of an object, by describe.
func (c *Client) field(ctx context.Context, object, name string) (reverse.Field, error) {
	o, err := c.Describe(ctx, object)
	if err != nil {
		return reverse.Field{}, err
	}
	for _, f := range o.Fields {
		if strings.EqualFold(f.Name, name) {
			return f, nil
		}
	}
	return reverse.Field{}, fault.New(fault.Invalid, "%s has no field %s, or the user has no field-level security for it", object, name)
}
