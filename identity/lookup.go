package identity

import "strings"

// Lookup reads a role's verifier; $1 is its name. One row: NULL where no role of that name logs in by SCRAM, an empty text
// where there is one whose verifier is withheld.
const Lookup = "SELECT sallyport.scram_verifier($1)"

// FunctionSQL makes what Lookup calls, once, by a superuser, in the database that the gateway's own role connects to. role is
// that role's name as SQL writes it (quoted), the only one that may call it. What it gives away lets nobody log in: a
// verifier holds a hash of the client's key, and a verifier that somebody forged fails at the server, which checks again.
func FunctionSQL(role string) string { return strings.ReplaceAll(functionSQL, "ROLE", role) }

// functionSQL drops before it creates: OR REPLACE would keep the owner and the grants of what stood there.
const functionSQL = `-- Run as a superuser: the function reads pg_authid with its owner's rights, for one role alone, and never a superuser's row.
BEGIN;
CREATE SCHEMA IF NOT EXISTS sallyport;
GRANT USAGE ON SCHEMA sallyport TO ROLE;
DROP FUNCTION IF EXISTS sallyport.scram_verifier(text);
CREATE FUNCTION sallyport.scram_verifier(login text) RETURNS text
  LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles s WHERE s.rolsuper AND pg_catalog.pg_has_role(a.oid, s.oid, 'MEMBER'))
    THEN '' ELSE a.rolpassword END
  FROM pg_catalog.pg_authid a
  WHERE a.rolname = login::pg_catalog.name AND a.rolcanlogin AND a.rolpassword LIKE 'SCRAM-SHA-256$%'
$$;
REVOKE ALL ON FUNCTION sallyport.scram_verifier(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sallyport.scram_verifier(text) TO ROLE;
COMMIT;
`
