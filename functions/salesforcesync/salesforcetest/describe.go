package salesforcetest

import (
	"net/http"
	"strings"
)

// sobjects answers for sobjects/OBJECT/describe.
func (s *Server) sobjects(w http.ResponseWriter, r request, rest string) {
	name, what, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table(name)
	switch {
	case t == nil || what != "describe":
		missing(w)
	case r.Method != http.MethodGet:
		notAllowed(w, r)
	default:
		fields := []map[string]any{}
		for i := range t.Fields {
			if f := &t.Fields[i]; !f.Hidden {
				fields = append(fields, f.describe())
			}
		}
		send(w, http.StatusOK, map[string]any{
			"name": t.Name, "label": t.Name, "keyPrefix": t.Prefix, "custom": strings.HasSuffix(t.Name, "__c"), "queryable": true,
			"createable": !t.Denied, "updateable": !t.Denied, "deletable": !t.Denied, "fields": fields, "childRelationships": []any{}, "recordTypeInfos": []any{},
		})
	}
}

func (f *Field) describe() map[string]any {
	length, precision, scale, digits := f.length(), 0, 0, 0
	if f.isNumber() {
		precision, scale = f.digits()
		if f.Type == "int" {
			precision, scale, digits = 0, 0, 9
		}
	}
	values := []map[string]any{}
	for _, v := range f.Values {
		values = append(values, map[string]any{"value": v, "label": strings.ToUpper(v), "active": true, "defaultValue": v == f.Default, "validFor": nil})
	}
	for _, v := range f.Inactive {
		values = append(values, map[string]any{"value": v, "label": strings.ToUpper(v), "active": false, "defaultValue": false, "validFor": nil})
	}
	to := f.To
	if to == nil {
		to = []string{}
	}
	var relationship any
	if f.Relationship != "" {
		relationship = f.Relationship
	}
	nillable := !f.Required && f.Type != "boolean" && f.system == ""
	if len(f.To) > 0 && f.To[0] == "User" {
		nillable = false
	}
	return map[string]any{
		"name": f.Name, "label": strings.ReplaceAll(strings.TrimSuffix(f.Name, "__c"), "_", " "), "type": f.Type, "soapType": f.xsd(),
		"length": length, "byteLength": length * 3, "precision": precision, "scale": scale, "digits": digits, "nillable": nillable,
		"createable": !f.readOnly() && !f.NoCreate, "updateable": !f.readOnly() && !f.NoUpdate,
		"defaultedOnCreate": f.Default != "" || f.Type == "boolean" || f.system != "", "calculated": f.Formula != nil, "autoNumber": false,
		"externalId": f.ExternalID, "idLookup": f.ExternalID || f.system == "Id", "unique": f.Unique, "caseSensitive": f.CaseSensitive,
		"restrictedPicklist": f.Restricted, "picklistValues": values, "referenceTo": to, "relationshipName": relationship, "compoundFieldName": nil,
		"custom": strings.HasSuffix(f.Name, "__c"), "deprecatedAndHidden": false, "encrypted": false, "permissionable": f.system == "", "filterable": true, "sortable": true, "groupable": true,
	}
}
