package salesforcetest

import "slices"

// Object declares an object.
type Object struct {
	Name   string
	Prefix string // of its ids, three characters
	Fields []Field
	Denied bool // the running user may not create, update or delete it
}

// Field declares a field, in Salesforce's own words. Id, IsDeleted, CreatedDate,
// CreatedById, LastModifiedDate, LastModifiedById and SystemModstamp are there of
// themselves.
type Field struct {
	Name string
	Type string // string, textarea, boolean, int, double, currency, percent, date, datetime, time, email, phone, url, picklist, multipicklist, reference

	Length           int // characters; 0 = 255 of text, 18 of a reference
	Precision, Scale int // digits in all and behind the point, of double, currency and percent; 0 = 18
	Required         bool
	Default          string // what a record gets that is created without it
	ExternalID       bool
	Unique           bool
	CaseSensitive    bool // K1 and k1 are two values of a unique field
	Restricted       bool // only Values are accepted
	Values           []string
	Inactive         []string // picklist values that are shown and refused
	To               []string // objects that a reference points to
	Relationship     string   // name of the parent in headers such as Account.DW_Key__c
	Locks            bool     // a record's change locks the parent that this names
	NoCreate         bool     // cannot be given on create
	NoUpdate         bool     // cannot be changed afterwards
	Hidden           bool     // the running user has no access to it: as if it were not there

	// Formula makes the field a calculated one. value gives the text of another field.
	Formula func(value func(field string) string) string

	system string // name of a field of every object; it is computed
}

// DefaultObjects are those of a twin whose Options declare none.
func DefaultObjects() []Object {
	key := Field{Name: "DW_Key__c", Type: "string", Length: 80, ExternalID: true, Unique: true}
	owner := Field{Name: "OwnerId", Type: "reference", To: []string{"User"}, Relationship: "Owner", Default: idOf("005", 0)}
	return []Object{
		{Name: "Account", Prefix: "001", Fields: []Field{
			{Name: "Name", Type: "string", Length: 255, Required: true}, key,
			{Name: "Score__c", Type: "double", Precision: 5, Scale: 2},
			{Name: "Tier__c", Type: "picklist", Restricted: true, Values: []string{"gold", "silver", "bronze"}, Inactive: []string{"copper"}},
			{Name: "Regions__c", Type: "multipicklist", Values: []string{"EMEA", "APAC", "AMER"}},
			{Name: "Active__c", Type: "boolean", Default: "false"},
			{Name: "Renewal__c", Type: "date"},
			{Name: "Scored_At__c", Type: "datetime"},
			{Name: "Opens_At__c", Type: "time"},
			{Name: "ARR__c", Type: "currency", Precision: 18, Scale: 2},
			{Name: "Seats__c", Type: "int"},
			{Name: "Industry", Type: "picklist", Values: []string{"Energy", "Banking", "Retail"}},
			{Name: "Website", Type: "url"},
			{Name: "Description", Type: "textarea", Length: 32_000},
			owner,
			{Name: "ParentId", Type: "reference", To: []string{"Account"}, Relationship: "Parent", Locks: true},
			{Name: "Region_Code__c", Type: "string", ExternalID: true, Length: 40},
			{Name: "Rank__c", Type: "string", Formula: rank},
			{Name: "Secret__c", Type: "string", Hidden: true},
		}},
		{Name: "Contact", Prefix: "003", Fields: []Field{
			{Name: "LastName", Type: "string", Length: 80, Required: true},
			{Name: "FirstName", Type: "string", Length: 40},
			{Name: "Email", Type: "email", Length: 80}, key,
			{Name: "AccountId", Type: "reference", To: []string{"Account"}, Relationship: "Account", Locks: true},
			{Name: "Score__c", Type: "double", Precision: 5, Scale: 2},
			owner,
		}},
		userObject(),
	}
}

func userObject() Object {
	return Object{Name: "User", Prefix: "005", Denied: true, Fields: []Field{
		{Name: "Name", Type: "string", Required: true}, {Name: "Email", Type: "email", ExternalID: true, Unique: true},
		{Name: "IsActive", Type: "boolean", Default: "true"},
	}}
}

// rank is the formula of Account.Rank__c: a text made of a score.
func rank(value func(string) string) string {
	if value("Score__c") == "" {
		return ""
	}
	return "rank " + value("Score__c")
}

// users adds the object User, where a test declared none, with three people: the
// running user, and two whom records may belong to.
func (s *Server) users() {
	i := slices.IndexFunc(s.tables, func(t *table) bool { return t.Name == "User" })
	if i < 0 {
		i = len(s.tables)
		s.tables = append(s.tables, newTable(userObject()))
	}
	if t := s.tables[i]; t.Prefix == "005" && t.byName["Name"] > 0 {
		for _, name := range []string{"Integration", "Ada", "Grace"} {
			s.insert(t, []cell{{t.byName["Name"], name}})
		}
	}
}

// The fields that every object has.
var system = []Field{
	{Name: "Id", Type: "id", system: "Id"}, {Name: "IsDeleted", Type: "boolean", system: "IsDeleted"},
	{Name: "CreatedDate", Type: "datetime", system: "CreatedDate"}, {Name: "CreatedById", Type: "reference", To: []string{"User"}, system: "CreatedById"},
	{Name: "LastModifiedDate", Type: "datetime", system: "LastModifiedDate"}, {Name: "LastModifiedById", Type: "reference", To: []string{"User"}, system: "LastModifiedById"},
	{Name: "SystemModstamp", Type: "datetime", system: "SystemModstamp"},
}

// readOnly reports whether nobody may write the field.
func (f *Field) readOnly() bool { return f.system != "" || f.Formula != nil }

// length is how many characters a text may have; 0 for what is no text.
func (f *Field) length() int {
	switch {
	case f.Type == "reference" || f.Type == "id":
		return 18
	case !f.isText():
		return 0
	case f.Length > 0:
		return f.Length
	}
	return 255
}

func (f *Field) isText() bool {
	switch f.Type {
	case "string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox", "encryptedstring":
		return true
	}
	return false
}

func (f *Field) isNumber() bool {
	switch f.Type {
	case "int", "double", "currency", "percent":
		return true
	}
	return false
}

// digits are all digits of a number and those behind its point.
func (f *Field) digits() (precision, scale int) {
	if f.Precision == 0 {
		return 18, f.Scale
	}
	return f.Precision, f.Scale
}
