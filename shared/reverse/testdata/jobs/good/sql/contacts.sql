-- Contacts that may be written to; one row for each.
select contact_id, opted_in, last_seen -- of the CRM
from thought_industries.users
where email is not null;
