package scim

import (
	"maps"
	"net/http"
	"strings"
)

// The schemas that are spoken here (RFC 7643, 8.7 and 10; RFC 7644, 8.2).
const (
	userSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	ownSchema        = "urn:ietf:params:scim:schemas:extension:sallyport:2.0:User" // Entra ID takes no other beginning

	listSchema     = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	errorSchema    = "urn:ietf:params:scim:api:messages:2.0:Error"
	providerSchema = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	typeSchema     = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	schemaSchema   = "urn:ietf:params:scim:schemas:core:2.0:Schema"
)

func providerConfig(r *http.Request) (*answer, error) {
	no := map[string]any{"supported": false}
	return &answer{status: http.StatusOK, body: map[string]any{
		"schemas": []string{providerSchema}, "patch": map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":         map[string]any{"supported": true, "maxResults": mostResults},
		"changePassword": no, "sort": no, "etag": map[string]any{"supported": true},
		"authenticationSchemes": []map[string]any{{
			"type": "oauthbearertoken", "name": "Bearer token", "description": "A token that 'sallyport directory token' made.", "primary": true,
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": strings.TrimSuffix(location(r, "ServiceProviderConfig", ""), "/")},
	}}, nil
}

func types() []map[string]any {
	extension := func(schema string) map[string]any { return map[string]any{"schema": schema, "required": false} }
	return []map[string]any{
		{
			"schemas": []string{typeSchema}, "id": "User", "name": "User", "endpoint": "/Users", "schema": userSchema,
			"schemaExtensions": []map[string]any{extension(enterpriseSchema), extension(ownSchema)},
		},
		{"schemas": []string{typeSchema}, "id": "Group", "name": "Group", "endpoint": "/Groups", "schema": groupSchema},
	}
}

func everything(list []map[string]any) *answer {
	return &answer{status: http.StatusOK, body: map[string]any{
		"schemas": []string{listSchema}, "totalResults": len(list), "startIndex": 1, "itemsPerPage": len(list), "Resources": list,
	}}
}

func oneOf(r *http.Request, list []map[string]any, what string) (*answer, error) {
	for _, o := range list {
		if id, _ := o["id"].(string); strings.EqualFold(id, r.PathValue("id")) {
			return &answer{status: http.StatusOK, body: o}, nil
		}
	}
	return nil, missing(what)
}

func resourceTypes(*http.Request) (*answer, error)  { return everything(types()), nil }
func resourceType(r *http.Request) (*answer, error) { return oneOf(r, types(), "resource type") }
func schemas(*http.Request) (*answer, error)        { return everything(schemaList()), nil }
func schema(r *http.Request) (*answer, error)       { return oneOf(r, schemaList(), "schema") }

// attribute describes one as RFC 7643 (7) does.
func attribute(name, kind, about string, more ...map[string]any) map[string]any {
	a := map[string]any{
		"name": name, "type": kind, "description": about, "multiValued": false, "required": false, "caseExact": false,
		"mutability": "readWrite", "returned": "default", "uniqueness": "none",
	}
	for _, m := range more {
		maps.Copy(a, m)
	}
	return a
}

func schemaList() []map[string]any {
	several, must, only := map[string]any{"multiValued": true}, map[string]any{"required": true}, map[string]any{"mutability": "readOnly"}
	unique, exact := map[string]any{"uniqueness": "server"}, map[string]any{"caseExact": true}
	of := func(list ...map[string]any) map[string]any { return map[string]any{"subAttributes": list} }
	list := func(id, name, about string, attributes ...map[string]any) map[string]any {
		return map[string]any{"schemas": []string{schemaSchema}, "id": id, "name": name, "description": about, "attributes": attributes}
	}
	value := attribute("value", "string", "The value.")
	return []map[string]any{
		list(userSchema, "User", "A member of staff. Other attributes are taken and not kept.",
			attribute("userName", "string", "The name at the identity provider.", must, unique),
			attribute("externalId", "string", "The identity provider's own id.", exact, unique),
			attribute("displayName", "string", "As people call him."),
			attribute("name", "complex", "His name.", of(attribute("givenName", "string", "Given name."), attribute("familyName", "string", "Family name."))),
			attribute("active", "boolean", "false: he left. His sessions end at once; true lets nobody in again, two people do."),
			attribute("emails", "complex", "One address is kept: that for work.", several, of(value, attribute("type", "string", "work"), attribute("primary", "boolean", "Always true."))),
			attribute("roles", "complex", "Names of roles here. One with power waits for two people.", several, of(value)),
			attribute("groups", "complex", "Groups that he is in.", several, only, of(value, attribute("display", "string", "The group's name.")))),
		list(enterpriseSchema, "EnterpriseUser", "What an employer knows.",
			attribute("employeeNumber", "string", "The employer's number.", unique),
			attribute("department", "string", "The department; for people to read."),
			attribute("manager", "complex", "Whom he reports to.", of(attribute("value", "string", "The manager's id.")))),
		list(ownSchema, "SallyportUser", "What Sallyport knows besides.",
			attribute("staff", "string", "His id in the record.", only),
			attribute("employment", "string", "employed, notice, leave or left.", map[string]any{"canonicalValues": []string{"employed", "notice", "leave", "left"}})),
		list(groupSchema, "Group", "A group of staff; the configuration says which team and role it means.",
			attribute("displayName", "string", "The name.", must, unique),
			attribute("externalId", "string", "The identity provider's own id.", exact),
			attribute("members", "complex", "Users.", several, of(value))),
	}
}
