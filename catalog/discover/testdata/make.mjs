// Makes the .sql files beside it: schemas of real shape with made-up rows, as others would have built them.
// npm install @faker-js/faker@10.6.0 && node make.mjs. What each column is stands in truth.txt, written before discovery was.
import { writeFileSync } from 'node:fs';
import { fakerDE, fakerFR, fakerEN_GB, fakerES, fakerPL, fakerTR, fakerIT, fakerNL, faker } from '@faker-js/faker';

const all = [fakerDE, fakerFR, fakerEN_GB, fakerES, fakerPL, fakerTR, fakerIT, faker];
all.forEach((f, i) => { f.seed(4711 + i); f.setDefaultRefDate('2026-03-01T00:00:00Z'); });
const n = (a, b) => faker.number.int({ min: a, max: b });
const one = list => faker.helpers.arrayElement(list);
const maybe = (p, v) => faker.datatype.boolean({ probability: p }) ? v() : null;
const digits = k => faker.string.numeric({ length: k, allowLeadingZeros: true });
const when = () => faker.date.between({ from: '2019-01-01', to: '2026-02-28' }).toISOString();
const born = () => faker.date.birthdate({ min: 18, max: 92, mode: 'age' }).toISOString().slice(0, 10);
const uuid = () => faker.string.uuid();
const hash = () => faker.string.hexadecimal({ length: 64, casing: 'lower', prefix: '' });
// foreigner: most people of a country have its names, some have others.
const local = home => faker.datatype.boolean({ probability: 0.85 }) ? home : one([fakerES, fakerPL, fakerTR, fakerIT, fakerEN_GB]);
const plain = s => s.normalize('NFD').replace(/[\u0300-\u036f]/g, '').replace(/ß/g, 'ss').replace(/[^A-Za-z0-9.-]/g, '').toLowerCase();
const mail = (first, last) => `${one([plain(first) + '.' + plain(last), plain(last) + n(1, 99), plain(first)[0] + plain(last)])}@${one(['mail.example', 'example.org', 'post.example', 'web.example', 'example.net'])}`;

const literal = v => v === null || v === undefined ? 'NULL' : typeof v === 'number' || typeof v === 'boolean' ? String(v) : `'${String(v).replace(/'/g, "''")}'`;
const insert = (table, rows) => rows.length ? `INSERT INTO ${table} VALUES\n${rows.map(r => '(' + r.map(literal).join(',') + ')').join(',\n')};\n` : '';
const rows = (k, make) => Array.from({ length: k }, (_, i) => make(i + 1));

// ---------------------------------------------------------------- a shop, in German
function shop() {
  const person = rows(220, id => {
    const f = local(fakerDE), first = f.person.firstName(), last = f.person.lastName();
    return { id, first, last, mail: mail(first, last), tel: fakerDE.phone.number({ style: 'national' }), mob: '0' + one(['151', '160', '170', '171', '175', '176', '179']) + one(['', ' ', '/']) + n(10000000, 99999999) };
  });
  const remark = p => one([
    'Ruft lieber abends an.', 'Bitte keine Werbung per Post schicken.', 'Stammkunde seit vielen Jahren, sehr freundlich.', 'Hat zweimal reklamiert, Kulanz gewährt.',
    `Zweite Adresse: ${p.mail}`, `Erreichbar unter ${p.tel}`, `Rechnung bitte an ${p.first} ${p.last} persönlich.`, 'Lieferung nur vormittags möglich.']);
  const comment = p => one([
    'Bitte beim Nachbarn abgeben, falls niemand da ist.', 'Geschenk, bitte ohne Rechnung verpacken.', 'Klingel ist defekt, bitte laut klopfen.', 'Danke für die schnelle Bearbeitung beim letzten Mal!',
    `Bitte vorher anrufen: ${p.mob}`, `Paket für ${p.first} ${p.last}, Hinterhaus, dritter Stock.`]);
  const review = p => one([
    'Sehr gute Qualität, würde ich jederzeit wieder kaufen. Versand war schnell.', 'Leider nach zwei Wochen defekt, Umtausch lief aber problemlos.', 'Etwas kleiner als auf dem Bild, sonst in Ordnung.',
    `Fragen gern an ${p.mail}, ich helfe weiter.`, 'Für den Preis völlig in Ordnung, mehr darf man nicht erwarten.']);
  const orders = rows(400, id => ({ id, p: one(person) }));
  return `CREATE SCHEMA shop;
SET search_path = shop;
CREATE TABLE kunden (id bigint PRIMARY KEY, kundennummer text NOT NULL UNIQUE, anrede text, vorname text NOT NULL, nachname text NOT NULL, email varchar(120) UNIQUE,
  telefon text, mobil text, geburtsdatum date, newsletter boolean, email_bestaetigt_am timestamptz, passwort_hash text, sprache char(2), erstellt_am timestamptz, bemerkung text);
CREATE TABLE adressen (id bigint PRIMARY KEY, kunde_id bigint NOT NULL REFERENCES kunden, strasse text, hausnummer text, plz text, ort text, land char(2), typ text);
CREATE TABLE artikel (id uuid PRIMARY KEY, sku text UNIQUE, name text NOT NULL, beschreibung text, preis numeric(10,2), ean text, hersteller text);
CREATE TABLE bestellungen (id bigint PRIMARY KEY, bestellnummer text UNIQUE, kunde_id bigint NOT NULL REFERENCES kunden, lieferadresse_id bigint REFERENCES adressen, status text, versandart text,
  sendungsnummer text, kommentar text, bestellt_am timestamptz, ip_adresse text, summe numeric(10,2));
CREATE TABLE positionen (id bigint PRIMARY KEY, bestellung_id bigint NOT NULL REFERENCES bestellungen, artikel_id uuid REFERENCES artikel, menge int, einzelpreis numeric(10,2));
CREATE TABLE zahlungen (id bigint PRIMARY KEY, bestellung_id bigint NOT NULL REFERENCES bestellungen, art text, iban text, kontoinhaber text, kartennummer text, karte_maskiert text, transaktion uuid, betrag numeric(10,2));
CREATE TABLE bewertungen (id bigint PRIMARY KEY, artikel_id uuid REFERENCES artikel, kunde_id bigint NOT NULL REFERENCES kunden, sterne int, titel text, inhalt text, erstellt_am timestamptz);
CREATE TABLE mitarbeiter (id int PRIMARY KEY, name text, email text, abteilung text, eingestellt_am date);
CREATE TABLE lieferanten (id int PRIMARY KEY, firma text, ansprechpartner text, email text, telefon text, ust_id text);
CREATE TABLE email_vorlagen (id int PRIMARY KEY, schluessel text, betreff text, koerper text);
CREATE TABLE gutscheine (code text PRIMARY KEY, bezeichnung text, gueltig_bis date, wert numeric(10,2));
` + insert('kunden', person.map(p => [p.id, 'K-' + n(100000, 999999), one(['Herr', 'Frau', 'Divers']), p.first, p.last, p.mail, maybe(0.7, () => p.tel), maybe(0.6, () => p.mob), maybe(0.8, born), n(0, 1) === 1, maybe(0.9, when), '$2a$10$' + faker.string.alphanumeric(53), one(['de', 'en', 'tr']), when(), maybe(0.3, () => remark(p))]))
    + insert('adressen', rows(260, id => [id, ((id - 1) % 220) + 1, fakerDE.location.street(), String(n(1, 180)) + one(['', '', 'a', 'b']), fakerDE.location.zipCode(), fakerDE.location.city(), 'DE', one(['rechnung', 'lieferung'])]))
    + insert('artikel', art.map(a => [a, 'SKU-' + faker.string.alphanumeric({ length: 8, casing: 'upper' }), fakerDE.commerce.productName(), fakerEN_GB.commerce.productDescription(), n(100, 90000) / 100, '40' + digits(11), fakerDE.company.name()]))
    + insert('bestellungen', orders.map(o => [o.id, 'B' + n(2019, 2026) + '-' + String(1000000 + o.id), o.p.id, o.p.id, one(['neu', 'bezahlt', 'versandt', 'storniert']), one(['DHL Paket', 'DHL Express', 'Abholung']), '0034043' + digits(13), maybe(0.35, () => comment(o.p)), when(), faker.internet.ipv4(), n(500, 90000) / 100]))
    + insert('positionen', rows(600, id => [id, n(1, 400), one(art), n(1, 5), n(100, 9000) / 100]))
    + insert('zahlungen', orders.map(o => { const card = n(0, 1) === 1; return [o.id, o.id, card ? 'karte' : 'lastschrift', card ? null : fakerDE.finance.iban({ formatted: n(0, 1) === 1, countryCode: 'DE' }), o.p.first + ' ' + o.p.last, card ? faker.finance.creditCardNumber({ issuer: one(['visa', 'mastercard']) }).replace(/-/g, '') : null, card ? '**** **** **** ' + digits(4) : null, uuid(), n(500, 90000) / 100]; }))
    + insert('bewertungen', rows(180, id => { const p = one(person); return [id, one(art), p.id, n(1, 5), one(['Top', 'Enttäuschend', 'Alles gut', 'Geht so', 'Sehr zufrieden']), review(p), when()]; }))
    + insert('mitarbeiter', rows(25, id => { const f = fakerDE.person.firstName(), l = fakerDE.person.lastName(); return [id, f + ' ' + l, plain(f) + '.' + plain(l) + '@shop.example', one(['Lager', 'Service', 'Einkauf']), faker.date.between({ from: '2008-01-01', to: '2025-12-31' }).toISOString().slice(0, 10)]; }))
    + insert('lieferanten', rows(40, id => [id, fakerDE.company.name(), fakerDE.person.fullName(), `vertrieb${id}@lieferant.example`, fakerDE.phone.number({ style: 'national' }), 'DE' + digits(9)]))
    + insert('email_vorlagen', [[1, 'willkommen', 'Willkommen bei uns, {{vorname}}!', 'Guten Tag {{vorname}} {{nachname}}, schön, dass Sie da sind. Antworten Sie an service@shop.example.'], [2, 'versand', 'Ihr Paket ist unterwegs', 'Ihre Bestellung {{nummer}} wurde versandt. Fragen an service@shop.example.'], [3, 'mahnung', 'Zahlungserinnerung', 'Bitte überweisen Sie den offenen Betrag auf unser Konto DE89370400440532013000.']])
    + insert('gutscheine', rows(60, i => [faker.string.alphanumeric({ length: 10, casing: 'upper' }), one(['Sommeraktion', 'Willkommen', 'Treuebonus']), faker.date.between({ from: '2026-03-01', to: '2027-12-31' }).toISOString().slice(0, 10), n(5, 50)]));
}
const art = rows(80, () => uuid());

// ---------------------------------------------------------------- a CRM, in English
function crm() {
  const staff = rows(18, id => ({ id, f: fakerEN_GB.person.firstName(), l: fakerEN_GB.person.lastName() }));
  const logins = staff.map(s => plain(s.f)[0] + plain(s.l));
  const phone = () => one([() => fakerEN_GB.phone.number({ style: 'international' }), () => fakerEN_GB.phone.number({ style: 'national' }), () => '+1 ' + n(201, 989) + '-' + n(200, 999) + '-' + digits(4)])();
  const person = rows(230, id => { const f = local(fakerEN_GB), first = f.person.firstName(), last = f.person.lastName(); return { id, first, last, mail: mail(first, last), work: phone(), mobile: '+447' + n(400000000, 999999999) }; });
  const note = p => one(['Met at the fair in spring, wants a demo of the new version.', 'Decision maker, but budget is frozen until next quarter.', 'Prefers short mails, never calls back.', `Assistant can be reached at ${p.mail}`, `Spoke with ${p.first} about renewal, will call again on ${p.work}.`, 'Asked for references in the same industry.']);
  const body = p => one(['Thanks for the call. Please find the offer attached, it is valid for thirty days.', 'Left a voice mail and asked for a call back.', `Hi ${p.first}, could you confirm that ${p.mail} is still right?`, 'Discussed pricing and the roll-out plan. Next step is a trial with ten seats.', `New number: ${p.mobile}. Old one does not work any more.`, 'Sent over the security questionnaire. They will return it by Friday.']);
  const subject = p => one(['Follow-up on our call', 'Renewal', 'Trial feedback', `Meeting with ${p.first} ${p.last}`, 'Contract question', 'Introduction', 'Pricing for fifty more seats']);
  const companies = rows(90, id => ({ id, name: fakerEN_GB.company.name() }));
  return `CREATE SCHEMA crm;
SET search_path = crm;
CREATE TABLE users (id int PRIMARY KEY, username text UNIQUE, full_name text, email text, role text, is_active boolean, created_at timestamptz);
CREATE TABLE companies (id int PRIMARY KEY, name text NOT NULL, domain text, vat_id text, phone text, industry text, website text, employees int, owner_id int REFERENCES users);
CREATE TABLE contacts (id bigint PRIMARY KEY, company_id int REFERENCES companies, first_name varchar(80), last_name varchar(80), job_title text, email varchar(254), email_opt_in boolean, work_phone varchar(40), mobile varchar(40),
  linkedin_url text, birthday date, owner_id int REFERENCES users, lead_source text, notes text, last_contacted_at timestamptz, external_id uuid, country char(2));
CREATE TABLE leads (id bigint PRIMARY KEY, name text, company text, email text, phone text, source text, score int, message text, converted_contact_id bigint REFERENCES contacts, created_at timestamptz);
CREATE TABLE deals (id bigint PRIMARY KEY, deal_no text UNIQUE, title text, company_id int REFERENCES companies, contact_id bigint REFERENCES contacts, amount numeric(12,2), stage text, close_date date, owner_id int REFERENCES users);
CREATE TABLE activities (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contacts, deal_id bigint REFERENCES deals, user_id int REFERENCES users, kind text, subject text, body text, email_sent boolean, due_at timestamptz);
CREATE TABLE cases (id bigint PRIMARY KEY, case_number text NOT NULL UNIQUE, contact_id bigint NOT NULL REFERENCES contacts, assigned_to text REFERENCES users (username), status text CHECK (status IN ('new', 'open', 'waiting', 'closed')), priority text,
  subject text, description text, created_at timestamptz NOT NULL, closed_at timestamptz);
CREATE TABLE emails (id bigint PRIMARY KEY, message_id text, contact_id bigint REFERENCES contacts, from_address text, to_address text, subject text, body_text text, sent_at timestamptz, thread_hash text);
CREATE TABLE calls (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contacts, case_id bigint REFERENCES cases, agent text, direction text CHECK (direction IN ('inbound', 'outbound')), started_at timestamptz, seconds int);
CREATE TABLE products (id int PRIMARY KEY, sku text, name text, description text, list_price numeric(10,2));
CREATE TABLE campaigns (id int PRIMARY KEY, name text, utm_code text, subject_line text, starts_on date);
CREATE TABLE audit_log (id bigint PRIMARY KEY, table_name text, row_id bigint, changed_by text, diff jsonb, at timestamptz);
` + insert('users', staff.map((s, i) => [s.id, logins[i], s.f + ' ' + s.l, logins[i] + '@vendor.example', one(['sales', 'support', 'manager']), true, when()]))
    + insert('companies', companies.map(c => [c.id, c.name, plain(c.name) + '.example', 'GB' + digits(9), fakerEN_GB.phone.number({ style: 'international' }), one(['Retail', 'Software', 'Logistics', 'Health']), 'https://www.' + plain(c.name) + '.example', n(5, 9000), n(1, 18)]))
    + insert('contacts', person.map(p => [p.id, n(1, 90), p.first, p.last, fakerEN_GB.person.jobTitle(), p.mail, n(0, 1) === 1, maybe(0.8, () => p.work), maybe(0.7, () => p.mobile), maybe(0.5, () => 'https://linkedin.example/in/' + plain(p.first) + '-' + plain(p.last)), maybe(0.4, born), n(1, 18), one(['web', 'fair', 'referral']), maybe(0.5, () => note(p)), when(), uuid(), one(['GB', 'US', 'IE'])]))
    + insert('leads', rows(160, id => { const f = local(fakerEN_GB), a = f.person.firstName(), b = f.person.lastName(); const p = { first: a, last: b, mail: mail(a, b), mobile: '+447' + n(400000000, 999999999) }; return [id, a + ' ' + b, fakerEN_GB.company.name(), p.mail, maybe(0.6, phone), one(['ads', 'web', 'event']), n(1, 100), maybe(0.6, () => body(p)), maybe(0.3, () => n(1, 230)), when()]; }))
    + insert('deals', rows(140, id => { const c = one(companies); return [id, 'D-' + String(20000 + id), one(['Renewal', 'New business', 'Upsell']) + ' ' + c.name, c.id, n(1, 230), n(1000, 900000), one(['qualified', 'offer', 'won', 'lost']), faker.date.between({ from: '2024-01-01', to: '2026-12-31' }).toISOString().slice(0, 10), n(1, 18)]; }))
    + insert('activities', rows(420, id => { const p = one(person); return [id, p.id, maybe(0.3, () => n(1, 140)), n(1, 18), one(['call', 'mail', 'meeting']), subject(p), body(p), n(0, 1) === 1, when()]; }))
    + insert('cases', rows(260, id => { const p = one(person), at = when(); return [id, 'CASE-' + String(n(1000000, 9999999)), p.id, one(logins), one(['new', 'open', 'waiting', 'closed']), one(['low', 'normal', 'high']), subject(p), body(p), at, null]; }))
    + insert('emails', rows(300, id => { const p = one(person), out = n(0, 1) === 1, s = one(logins) + '@vendor.example'; return [id, '<' + uuid() + '@mail.vendor.example>', p.id, out ? s : p.mail, out ? p.mail : s, subject(p), body(p), when(), hash()]; }))
    + insert('calls', rows(200, id => [id, n(1, 230), maybe(0.6, () => n(1, 260)), one(logins), one(['inbound', 'outbound']), when(), n(5, 1800)]))
    + insert('products', rows(30, id => [id, 'P' + digits(6), fakerEN_GB.commerce.productName(), fakerEN_GB.commerce.productDescription(), n(10, 900)]))
    + insert('campaigns', rows(12, id => [id, fakerEN_GB.company.buzzPhrase(), 'utm_' + faker.string.alphanumeric(6), fakerEN_GB.company.catchPhrase(), '2025-0' + n(1, 9) + '-01']))
    + insert('audit_log', rows(150, id => { const p = one(person); return [id, 'contacts', p.id, one(logins), JSON.stringify({ old: { email: p.mail }, new: { email: mail(p.first, p.last), phone: p.mobile } }), when()]; }));
}

// ---------------------------------------------------------------- a clinic, in French
function clinic() {
  const port = () => one(['06', '07']) + one([' ', '.', '']) + rows(4, () => digits(2)).join(one([' ', '.', '']));
  const fixe = () => '0' + n(1, 5) + ' ' + rows(4, () => digits(2)).join(' ');
  const person = rows(210, () => { const f = local(fakerFR), first = f.person.firstName(), last = f.person.lastName(); return { id: uuid(), first, last, mail: mail(first, last), tel: port() }; });
  const comment = p => one(['Patient en retard de vingt minutes.', 'Venir à jeun, apporter les anciens examens.', `Rappeler au ${p.tel} pour confirmer.`, 'Accompagné par un proche.', `Envoyer la convocation à ${p.mail}`, 'Préfère le matin.']);
  const report = p => one(['Examen clinique sans particularité. Tension normale. Revoir dans six mois.', 'Douleurs lombaires depuis trois semaines, pas de signe neurologique. Traitement symptomatique.', `Mme ou M. ${p.first} ${p.last} se plaint de céphalées. Bilan demandé.`, 'Vaccination à jour. Conseils hygiéno-diététiques donnés.', `Discuté avec la famille, joignable au ${p.tel}.`]);
  const corps = p => one(['Bonjour, je souhaite déplacer mon rendez-vous de mardi. Merci.', `Bonjour, mon nouveau numéro est le ${p.tel}. Cordialement, ${p.first} ${p.last}`, 'Pourriez-vous renouveler mon ordonnance ? Merci beaucoup.', `Merci de m’écrire à ${p.mail} dorénavant.`, 'Les résultats sont-ils arrivés ?']);
  const meds = ['Doliprane 1000 mg', 'Amoxicilline 500 mg', 'Ibuprofène 400 mg', 'Lévothyrox 50 µg', 'Ventoline', 'Metformine 850 mg', 'Kardégic 75 mg', 'Spasfon'];
  return `CREATE SCHEMA clinique;
SET search_path = clinique;
CREATE TABLE medecins (id int PRIMARY KEY, nom text, prenom text, specialite text, rpps text, tel_bureau text);
CREATE TABLE patients (id uuid PRIMARY KEY, ipp text NOT NULL UNIQUE, nom text NOT NULL, prenom text NOT NULL, nom_naissance text, sexe char(1), date_naissance date NOT NULL, nir varchar(21), adresse text, code_postal text, ville text, tel_portable text, tel_fixe text, courriel text,
  medecin_traitant_id int REFERENCES medecins, personne_a_prevenir text, tel_urgence text, mutuelle text, numero_adherent text, groupe_sanguin text, cree_le timestamptz);
CREATE TABLE rendez_vous (id bigint PRIMARY KEY, patient_id uuid NOT NULL REFERENCES patients, medecin_id int REFERENCES medecins, debut timestamptz, duree_min int, motif text, statut text, rappel_sms_envoye boolean, commentaire text);
CREATE TABLE consultations (id bigint PRIMARY KEY, rendez_vous_id bigint NOT NULL REFERENCES rendez_vous, compte_rendu text, diagnostic_cim10 text, tension text, poids_kg numeric(5,1), cree_le timestamptz);
CREATE TABLE ordonnances (id bigint PRIMARY KEY, consultation_id bigint NOT NULL REFERENCES consultations, medicament text, posologie text, date_prescription date);
CREATE TABLE analyses (id bigint PRIMARY KEY, patient_id uuid NOT NULL REFERENCES patients, numero_prelevement text, code_loinc text, valeur numeric(8,2), unite text, preleve_le timestamptz, empreinte_pdf text);
CREATE TABLE factures (id bigint PRIMARY KEY, patient_id uuid NOT NULL REFERENCES patients, numero_facture text UNIQUE, montant numeric(10,2), payee boolean, emise_le date, iban_remboursement text);
CREATE TABLE messages (id bigint PRIMARY KEY, patient_id uuid NOT NULL REFERENCES patients, sujet text, corps text, envoye_le timestamptz, lu boolean);
CREATE TABLE catalogue_medicaments (id int PRIMARY KEY, code_cip13 text, denomination text, laboratoire text);
CREATE TABLE journal_acces (id bigint PRIMARY KEY, utilisateur text, action text, objet_id uuid, ip inet, moment timestamptz);
` + insert('medecins', rows(14, id => [id, fakerFR.person.lastName(), fakerFR.person.firstName(), one(['Généraliste', 'Cardiologue', 'Pédiatre', 'Dermatologue']), digits(11), fixe()]))
    + insert('patients', person.map(p => [p.id, '80' + digits(8), p.last, p.first, maybe(0.4, () => fakerFR.person.lastName()), one(['F', 'M']), faker.date.birthdate({ min: 1, max: 97, mode: 'age' }).toISOString().slice(0, 10), maybe(0.9, () => one(['1', '2']) + digits(2) + String(n(1, 12)).padStart(2, '0') + String(n(1, 95)).padStart(2, '0') + digits(6) + digits(2)), n(1, 140) + ' ' + fakerFR.location.street(), fakerFR.location.zipCode(), fakerFR.location.city(), p.tel, maybe(0.4, fixe), maybe(0.7, () => p.mail), n(1, 14), maybe(0.6, () => fakerFR.person.firstName() + ' ' + p.last), maybe(0.6, port), one(['Harmonie Mutuelle', 'MGEN', 'Malakoff Humanis', 'AG2R', 'Swiss Life']), maybe(0.8, () => digits(9)), one(['A+', 'O+', 'B-', 'AB+']), when()]))
    + insert('rendez_vous', rows(380, id => { const p = one(person); return [id, p.id, n(1, 14), when(), one([15, 20, 30]), one(['Contrôle annuel', 'Douleurs', 'Vaccination', 'Suivi', 'Certificat']), one(['prévu', 'honoré', 'annulé']), n(0, 1) === 1, maybe(0.4, () => comment(p))]; }))
    + insert('consultations', rows(300, id => { const p = one(person); return [id, id, report(p), one(['J06.9', 'M54.5', 'I10', 'E11.9', 'R51', 'Z00.0']), n(100, 160) + '/' + n(60, 100), n(450, 1100) / 10, when()]; }))
    + insert('ordonnances', rows(250, id => [id, n(1, 300), one(meds), one(['1 comprimé matin et soir', '2 gélules par jour pendant 5 jours', 'Si besoin', '1 comprimé le soir']), when().slice(0, 10)]))
    + insert('analyses', rows(260, id => [id, one(person).id, 'P24-' + digits(6), one(['718-7', '4548-4', '2345-7', '2093-3']), n(10, 9000) / 100, one(['g/dL', 'mmol/L', '%']), when(), hash()]))
    + insert('factures', rows(220, id => [id, one(person).id, 'F-2025-' + String(id).padStart(5, '0'), n(2500, 30000) / 100, n(0, 1) === 1, when().slice(0, 10), maybe(0.5, () => fakerFR.finance.iban({ countryCode: 'FR' }))]))
    + insert('messages', rows(190, id => { const p = one(person); return [id, p.id, one(['Rendez-vous', 'Question', 'Ordonnance', 'Résultats', `Dossier de ${p.first} ${p.last}`]), corps(p), when(), n(0, 1) === 1]; }))
    + insert('catalogue_medicaments', rows(60, id => [id, '34009' + digits(8), one(meds) + ' ' + one(['cp', 'gél', 'sirop']), fakerFR.company.name()]))
    + insert('journal_acces', rows(160, id => [id, one(['mdupont', 'abernard', 'secretariat']), one(['lecture', 'ecriture']), one(person).id, faker.internet.ipv4(), when()]));
}


// ---------------------------------------------------------------- made after discovery was, and never used to change it
// An insurer, in Spanish.
function insurer() {
  const letter = 'TRWAGMYFPDXBNJZSQVHLCKE';
  const dni = () => { const d = n(10000000, 99999999); return d + letter[d % 23]; };
  const person = rows(240, id => { const f = local(fakerES), first = f.person.firstName(), a = f.person.lastName(), b = fakerES.person.lastName(); return { id, first, last: a + ' ' + b, mail: mail(first, a), tel: one(['6', '7']) + digits(2) + ' ' + digits(3) + ' ' + digits(3) }; });
  const relato = p => one(['Golpe por detrás en un semáforo, sin heridos. Se adjunta parte amistoso.', 'Daños por agua en el techo de la cocina. Pendiente de peritaje.', `El asegurado ${p.first} ${p.last} llama para conocer el estado.`, 'Robo de la bicicleta en el trastero. Denuncia presentada.', `Contactar en el ${p.tel} por las tardes.`]);
  const nota = p => one(['Cliente pide cambiar la forma de pago.', `Confirmado por correo a ${p.mail}.`, 'No contesta al teléfono.', 'Se envía duplicado de la póliza.', `Habla con ${p.first} ${p.last}, queda conforme.`]);
  return `CREATE SCHEMA seguros;
SET search_path = seguros;
CREATE TABLE tomadores (id_tomador bigint PRIMARY KEY, nif varchar(12) NOT NULL, nombre varchar(60), apellidos varchar(120), fecha_nac date, telefono_movil varchar(20), correo_electronico varchar(120), direccion text, cp char(5), poblacion text, provincia text,
  cuenta_iban text, estado_civil text, fecha_alta timestamptz, observaciones text);
CREATE TABLE polizas (id_poliza bigint PRIMARY KEY, num_poliza text UNIQUE, id_tomador bigint NOT NULL REFERENCES tomadores, ramo text, producto text, matricula text, prima numeric(10,2), fecha_efecto date, fecha_vencimiento date, id_mediador int);
CREATE TABLE beneficiarios (id bigint PRIMARY KEY, id_poliza bigint NOT NULL REFERENCES polizas, nombre_completo text, parentesco text, porcentaje int);
CREATE TABLE siniestros (id_siniestro bigint PRIMARY KEY, num_expediente text UNIQUE, id_poliza bigint NOT NULL REFERENCES polizas, fecha_ocurrencia date, estado text, tramitador text, relato text, importe numeric(10,2), abierto_en timestamptz);
CREATE TABLE gestiones (id bigint PRIMARY KEY, id_siniestro bigint NOT NULL REFERENCES siniestros, tipo text, nota text, fecha timestamptz);
CREATE TABLE recibos (id bigint PRIMARY KEY, id_poliza bigint NOT NULL REFERENCES polizas, num_recibo text, importe numeric(10,2), domiciliado boolean, referencia_sepa text, fecha_cargo date);
CREATE TABLE mediadores (id int PRIMARY KEY, razon_social text, cif text, telefono text, email text);
CREATE TABLE talleres (id int PRIMARY KEY, nombre text, direccion text, telefono text);
` + insert('tomadores', person.map(p => [p.id, dni(), p.first, p.last, maybe(0.95, born), p.tel, maybe(0.8, () => p.mail), fakerES.location.street() + ', ' + n(1, 120) + one(['', ' 2ºB', ' bajo']), fakerES.location.zipCode('#####'), fakerES.location.city(), one(['Madrid', 'Sevilla', 'Valencia', 'Lugo']), fakerES.finance.iban({ countryCode: 'ES' }), one(['soltero', 'casado', 'viudo']), when(), maybe(0.3, () => nota(p))]))
    + insert('polizas', rows(320, id => { const car = n(0, 1) === 1; return [id, 'POL-' + String(5000000 + id * 7), one(person).id, one(['auto', 'hogar', 'vida']), one(['Auto Total', 'Hogar Plus', 'Vida Serena']), car ? digits(4) + ' ' + faker.string.fromCharacters('BCDFGHJKLMNP', 3) : null, n(10000, 120000) / 100, when().slice(0, 10), '2027-01-01', n(1, 20)]; }))
    + insert('beneficiarios', rows(150, id => [id, n(1, 320), fakerES.person.firstName() + ' ' + fakerES.person.lastName() + ' ' + fakerES.person.lastName(), one(['hijo', 'cónyuge', 'padre']), one([25, 50, 100])]))
    + insert('siniestros', rows(180, id => { const p = one(person); return [id, 'EXP' + String(2000000 + id * 13), n(1, 320), when().slice(0, 10), one(['abierto', 'en trámite', 'cerrado']), one(['mgarcia', 'jlopez', 'acruz']), relato(p), n(10000, 900000) / 100, when()]; }))
    + insert('gestiones', rows(300, id => [id, n(1, 180), one(['llamada', 'correo', 'perito']), nota(one(person)), when()]))
    + insert('recibos', rows(400, id => [id, n(1, 320), 'R' + String(100000 + id), n(1000, 20000) / 100, true, 'ES' + digits(2) + 'ZZZ' + faker.string.alphanumeric({ length: 8, casing: 'upper' }), when().slice(0, 10)]))
    + insert('mediadores', rows(20, id => [id, fakerES.company.name() + ' Correduría SL', 'B' + digits(8), '91' + digits(7), `oficina${id}@correduria.example`]))
    + insert('talleres', rows(30, id => [id, 'Talleres ' + fakerES.person.lastName(), fakerES.location.street() + ', ' + n(1, 99), '95' + digits(7)]));
}

// A platform for holiday flats, in English, as an object mapper writes it: camelCase, text keys, addresses in one JSON column.
function rental() {
  const person = rows(260, () => { const f = local(faker), first = f.person.firstName(), last = f.person.lastName(); return { id: 'usr_' + faker.string.alphanumeric(16), first, last, mail: mail(first, last), tel: '+1' + n(2012000000, 9899999999) }; });
  const review = p => one(['Lovely place close to the beach, we will come again.', 'The heating was broken and nobody answered.', `${p.first} was a wonderful host, thank you!`, 'Clean, quiet and well equipped. The bed was a bit soft.']);
  const chat = p => one(['Hi, is early check-in possible?', `You can text me at ${p.tel} when you arrive.`, 'The key is in the box next to the door.', `My e-mail is ${p.mail} in case the app does not work.`, 'Thanks for having us!']);
  const flats = rows(90, () => ({ id: 'lst_' + faker.string.alphanumeric(16), host: one(person) }));
  const stays = rows(310, () => ({ id: 'bkg_' + faker.string.alphanumeric(16), guest: one(person), flat: one(flats) }));
  return `CREATE SCHEMA rental;
SET search_path = rental;
CREATE TABLE "User" (id text PRIMARY KEY, "firstName" text, "lastName" text, "emailAddress" text UNIQUE, "emailVerified" timestamptz, "phoneNumber" text, "dateOfBirth" timestamptz, "passwordHash" text, "homeAddress" jsonb, locale text, "stripeCustomerId" text, "createdAt" timestamptz, "aboutMe" text, "avatarUrl" text);
CREATE TABLE "Listing" (id text PRIMARY KEY, "hostId" text NOT NULL REFERENCES "User", title text, description text, "addressLine1" text, city text, latitude numeric(9,6), longitude numeric(9,6), "nightlyPrice" int);
CREATE TABLE "Booking" (id text PRIMARY KEY, reference text UNIQUE, "listingId" text NOT NULL REFERENCES "Listing", "guestId" text NOT NULL REFERENCES "User", "checkIn" date, "checkOut" date, status text, "guestCount" int, "specialRequests" text, "leadGuestName" text);
CREATE TABLE "Message" (id text PRIMARY KEY, "bookingId" text NOT NULL REFERENCES "Booking", "senderId" text REFERENCES "User", content text, "readAt" timestamptz);
CREATE TABLE "Review" (id text PRIMARY KEY, "bookingId" text NOT NULL REFERENCES "Booking", rating int, "publicText" text, "createdAt" timestamptz);
CREATE TABLE "Payout" (id text PRIMARY KEY, "userId" text NOT NULL REFERENCES "User", "bankAccount" text, "holderName" text, amount int, "externalRef" uuid);
CREATE TABLE "Session" (id text PRIMARY KEY, "userId" text NOT NULL REFERENCES "User", token text, "ipAddress" text, "userAgent" text, "expiresAt" timestamptz);
CREATE TABLE "SupportTicket" (id bigint PRIMARY KEY, "ticketNumber" text, "userId" text NOT NULL REFERENCES "User", assignee text, state text, summary text, "openedAt" timestamptz);
CREATE TABLE "Amenity" (id int PRIMARY KEY, name text, icon text);
CREATE TABLE "City" (id int PRIMARY KEY, name text, country text, population int);
CREATE TABLE "AdminUser" (id int PRIMARY KEY, name text, email text, "lastLoginIp" text);
` + insert('"User"', person.map(p => [p.id, p.first, p.last, p.mail, maybe(0.8, when), maybe(0.8, () => p.tel), maybe(0.6, () => born() + 'T00:00:00Z'), '$argon2id$v=19$m=19456,t=2,p=1$' + faker.string.alphanumeric(22) + '$' + faker.string.alphanumeric(43), JSON.stringify({ line1: faker.location.streetAddress(), city: faker.location.city(), zip: faker.location.zipCode() }), one(['en-US', 'de-DE', 'fr-FR']), 'cus_' + faker.string.alphanumeric(14), when(), maybe(0.4, () => one([`I am ${p.first} and I love hiking and good coffee.`, 'Travelling with two kids and a dog.', 'Host since 2016, happy to help with tips.'])), 'https://cdn.example/' + uuid() + '.jpg']))
    + insert('"Listing"', flats.map(l => [l.id, l.host.id, one(['Cosy', 'Sunny', 'Quiet', 'Modern']) + ' ' + one(['loft', 'cabin', 'flat', 'studio']) + ' in ' + faker.location.city(), faker.commerce.productDescription() + ' Five minutes to the station.', faker.location.streetAddress(), faker.location.city(), faker.location.latitude(), faker.location.longitude(), n(40, 400)]))
    + insert('"Booking"', stays.map(b => [b.id, faker.string.alphanumeric({ length: 8, casing: 'upper' }), b.flat.id, b.guest.id, '2026-0' + n(1, 9) + '-10', '2026-0' + n(1, 9) + '-20', one(['confirmed', 'cancelled', 'completed']), n(1, 6), maybe(0.3, () => one(['Baby cot please', 'Late arrival, after 11 pm, is that fine?', `Please call ${b.guest.tel} if there is a problem.`, 'Allergic to feathers, please no down pillows.'])), b.guest.first + ' ' + b.guest.last]))
    + insert('"Message"', rows(360, i => { const b = one(stays); return ['msg_' + i, b.id, b.guest.id, chat(b.guest), maybe(0.8, when)]; }))
    + insert('"Review"', rows(170, i => { const b = one(stays); return ['rev_' + i, b.id, n(1, 5), review(b.flat.host), when()]; }))
    + insert('"Payout"', rows(120, i => { const p = one(person); return ['pay_' + i, p.id, faker.finance.iban({ countryCode: one(['DE', 'FR', 'ES']) }), p.first + ' ' + p.last, n(100, 90000), uuid()]; }))
    + insert('"Session"', rows(200, i => ['ses_' + i, one(person).id, hash(), faker.internet.ipv4(), faker.internet.userAgent(), when()]))
    + insert('"SupportTicket"', rows(140, i => { const p = one(person); return [i, 'ST-' + n(1000000, 9999999), p.id, one(['kim', 'lee', 'ana']), one(['open', 'waiting', 'solved']), one(['Refund not received', `Guest ${p.first} ${p.last} cannot log in`, 'Payout is late', `Wrong e-mail, should be ${p.mail}`]), when()]; }))
    + insert('"Amenity"', rows(20, i => [i, one(['Wifi', 'Pool', 'Sauna', 'Garden', 'Parking']), 'icon-' + i]))
    + insert('"City"', rows(60, i => [i, faker.location.city(), faker.location.country(), n(1000, 900000)]))
    + insert('"AdminUser"', rows(15, i => [i, faker.person.fullName(), `admin${i}@rental.example`, faker.internet.ipv4()]));
}

// ---------------------------------------------------------------- made after discovery had been changed for the two above
fakerNL.seed(4719); fakerNL.setDefaultRefDate('2026-03-01T00:00:00Z');

// A school, in Dutch.
function school() {
  const bsn = () => { for (;;) { const d = digits(9); let s = 0; for (let i = 0; i < 9; i++) s += Number(d[i]) * (i === 8 ? -1 : 9 - i); if (s % 11 === 0) return d; } };
  const tel = () => '06' + one(['-', ' ', '']) + n(10000000, 99999999);
  const kind = rows(230, id => { const f = local(fakerNL), voor = f.person.firstName(), achter = f.person.lastName(); return { id, voor, achter, ouder: fakerNL.person.firstName() + ' ' + achter, mail: mail(voor, achter), tel: tel() }; });
  const verslag = k => one(['Werkt goed mee in de groep, maar is snel afgeleid.', 'Gesprek gehad over de voortgang bij rekenen.', `Moeder gebeld op ${k.tel}, komt vrijdag langs.`, `${k.voor} ${k.achter} heeft moeite met lezen.`, 'Huiswerk drie keer niet gemaakt deze maand.']);
  const bericht = k => one(['Kan de excursie een dag later?', `Ons nieuwe adres is ${k.mail}, graag doorgeven.`, 'Hij is ziek vandaag en komt niet.', 'Bedankt voor het fijne gesprek van gisteren!', `Groeten, ${k.ouder}`]);
  return `CREATE SCHEMA school;
SET search_path = school;
CREATE TABLE leerlingen (leerling_id int PRIMARY KEY, leerlingnummer text UNIQUE, roepnaam text, tussenvoegsel text, achternaam text, geslacht char(1), geboortedatum date, bsn char(9), straatnaam text, huisnr text, postcode text, woonplaats text, klas text, ingeschreven_op date, zorgnotitie text);
CREATE TABLE ouders (ouder_id int PRIMARY KEY, leerling_id int NOT NULL REFERENCES leerlingen, naam text, relatie text, emailadres text, mobiel text, rekeningnr text, mag_ophalen boolean);
CREATE TABLE absenties (id int PRIMARY KEY, leerling_id int NOT NULL REFERENCES leerlingen, datum date, reden text, gemeld_door text);
CREATE TABLE cijfers (id int PRIMARY KEY, leerling_id int NOT NULL REFERENCES leerlingen, vak text, cijfer numeric(3,1), toets text, afgenomen_op date);
CREATE TABLE gespreksverslagen (id int PRIMARY KEY, leerling_id int NOT NULL REFERENCES leerlingen, docent_code text, verslag text, gehouden_op timestamptz);
CREATE TABLE berichten (id int PRIMARY KEY, ouder_id int NOT NULL REFERENCES ouders, onderwerp text, inhoud text, gelezen boolean, verzonden_op timestamptz);
CREATE TABLE facturen (id int PRIMARY KEY, ouder_id int NOT NULL REFERENCES ouders, factuurnummer text, bedrag numeric(8,2), omschrijving text, betaald_op date);
CREATE TABLE docenten (code text PRIMARY KEY, naam text, vakgebied text, mailadres text, intern_nr text);
CREATE TABLE boeken (isbn text PRIMARY KEY, titel text, auteur text, uitgever text);
CREATE TABLE lokalen (nr text PRIMARY KEY, gebouw text, plaatsen int);
` + insert('leerlingen', kind.map(k => [k.id, 'L' + String(240000 + k.id), k.voor, maybe(0.3, () => one(['van', 'de', 'van der'])), k.achter, one(['m', 'v']), faker.date.birthdate({ min: 5, max: 18, mode: 'age' }).toISOString().slice(0, 10), bsn(), fakerNL.location.street(), String(n(1, 200)), n(1000, 9999) + ' ' + faker.string.alpha({ length: 2, casing: 'upper' }), fakerNL.location.city(), one(['1A', '2B', '3C']), when().slice(0, 10), maybe(0.3, () => verslag(k))]))
    + insert('ouders', kind.map(k => [k.id, k.id, k.ouder, one(['moeder', 'vader', 'voogd']), mail(k.ouder.split(' ')[0], k.achter), k.tel, fakerNL.finance.iban({ countryCode: 'NL' }), true]))
    + insert('absenties', rows(300, i => [i, one(kind).id, when().slice(0, 10), one(['ziek', 'tandarts', 'verlof']), one(['ouder', 'docent'])]))
    + insert('cijfers', rows(400, i => [i, one(kind).id, one(['Nederlands', 'Rekenen', 'Engels']), n(30, 100) / 10, one(['SO hoofdstuk 3', 'Proefwerk', 'Presentatie']), when().slice(0, 10)]))
    + insert('gespreksverslagen', rows(200, i => { const k = one(kind); return [i, k.id, one(['BAK', 'JAN', 'VIS']), verslag(k), when()]; }))
    + insert('berichten', rows(240, i => { const k = one(kind); return [i, k.id, one(['Excursie', 'Ziekmelding', 'Vraag', `Over ${k.voor} ${k.achter}`]), bericht(k), true, when()]; }))
    + insert('facturen', rows(150, i => [i, one(kind).id, 'F' + String(26000 + i), n(1000, 30000) / 100, one(['Ouderbijdrage 2026', 'Excursie', 'Schoolboeken']), when().slice(0, 10)]))
    + insert('docenten', rows(20, i => { const a = fakerNL.person.firstName(), b = fakerNL.person.lastName(); return ['D' + i, a + ' ' + b, one(['Talen', 'Exact']), plain(a) + '.' + plain(b) + '@school.example', String(n(100, 999))]; }))
    + insert('boeken', rows(60, i => ['978' + digits(10), fakerNL.commerce.productName(), fakerNL.person.fullName(), fakerNL.company.name()]))
    + insert('lokalen', rows(20, i => ['L' + i, one(['Noord', 'Zuid']), 30]));
}

// A telephone company's old database, in English: short names, no foreign keys, everything char.
function telco() {
  const person = rows(250, id => { const f = local(faker), first = f.person.firstName(), last = f.person.lastName(); return { id, first, last, mail: mail(first, last), num: '1' + n(201, 989) + n(2000000, 9999999) }; });
  const memo = p => one(['CUST CALLED RE BILL, EXPLAINED PRORATION', `SPOKE W ${p.first} ${p.last}, WILL PAY FRI`, 'NO ANSWER, LEFT VM', `SEND COPY OF BILL TO ${p.mail}`, 'PORT REQUEST REJECTED, WRONG PIN']);
  return `CREATE SCHEMA telco;
SET search_path = telco;
CREATE TABLE cust_mstr (cust_id bigint PRIMARY KEY, acct_no varchar(12), cust_nm varchar(60), dob_dt date, ssn_last4 char(4), tax_ssn varchar(11), addr_ln_1 varchar(60), city_nm varchar(40), st_cd char(2), zip_cd varchar(10), email_addr varchar(80), cntct_ph varchar(20), mktg_ind char(1), cust_typ char(3), eff_dt date);
CREATE TABLE svc_line (line_id bigint PRIMARY KEY, cust_id bigint NOT NULL, msisdn varchar(15), imei varchar(15), iccid varchar(20), plan_cd varchar(10), actv_dt date);
CREATE TABLE cdr (cdr_id bigint PRIMARY KEY, line_id bigint NOT NULL, orig_num varchar(15), dest_num varchar(15), start_ts timestamptz, dur_sec int, cell_id varchar(12));
CREATE TABLE acct_memo (memo_id bigint PRIMARY KEY, cust_id bigint NOT NULL, memo_txt varchar(400), rep_id varchar(10), memo_ts timestamptz);
CREATE TABLE pymt (pymt_id bigint PRIMARY KEY, cust_id bigint NOT NULL, card_num varchar(19), card_exp char(5), auth_cd varchar(8), amt numeric(10,2), pymt_dt date);
CREATE TABLE plan_ref (plan_cd varchar(10) PRIMARY KEY, plan_nm varchar(40), mth_rate numeric(8,2));
CREATE TABLE rep_ref (rep_id varchar(10) PRIMARY KEY, rep_nm varchar(60), rep_ext varchar(6));
CREATE TABLE cell_site (cell_id varchar(12) PRIMARY KEY, site_nm varchar(40), site_addr varchar(80), lat numeric(9,6), lon numeric(9,6));
` + insert('cust_mstr', person.map(p => [p.id, digits(10), (p.last + ', ' + p.first).toUpperCase(), maybe(0.9, born), digits(4), n(100, 899) + '-' + n(10, 99) + '-' + digits(4), faker.location.streetAddress().toUpperCase(), faker.location.city().toUpperCase(), faker.location.state({ abbreviated: true }), faker.location.zipCode('#####'), maybe(0.7, () => p.mail.toUpperCase()), p.num.slice(1, 4) + '-' + p.num.slice(4, 7) + '-' + p.num.slice(7), one(['Y', 'N']), one(['RES', 'BUS']), when().slice(0, 10)]))
    + insert('svc_line', person.map(p => [1000 + p.id, p.id, p.num, '35' + digits(13), '8901' + digits(16), one(['UNL5', 'BAS2', 'FAM4']), when().slice(0, 10)]))
    + insert('cdr', rows(500, i => { const p = one(person); return [i, 1000 + p.id, p.num, '1' + n(201, 989) + n(2000000, 9999999), when(), n(1, 3000), 'C' + n(100, 140)]; }))
    + insert('acct_memo', rows(220, i => { const p = one(person); return [i, p.id, memo(p), 'R' + n(10, 40), when()]; }))
    + insert('pymt', rows(260, i => [i, one(person).id, faker.finance.creditCardNumber({ issuer: 'visa' }).replace(/-/g, ''), '0' + n(1, 9) + '/' + n(26, 31), digits(6), n(1000, 20000) / 100, when().slice(0, 10)]))
    + insert('plan_ref', [['UNL5', 'UNLIMITED PLUS', 75], ['BAS2', 'BASIC TALK', 25], ['FAM4', 'FAMILY SHARE', 110]])
    + insert('rep_ref', rows(31, i => ['R' + (9 + i), faker.person.fullName().toUpperCase(), 'X' + n(1000, 9999)]))
    + insert('cell_site', rows(41, i => ['C' + (99 + i), faker.location.city().toUpperCase() + ' ' + one(['TOWER', 'ROOF']), faker.location.streetAddress().toUpperCase(), faker.location.latitude(), faker.location.longitude()]));
}

const head = '-- Made by make.mjs: no person, number or address in here is anybody\'s.\n';
for (const [name, make] of [['shop', shop], ['crm', crm], ['clinic', clinic], ['insurer', insurer], ['rental', rental], ['school', school], ['telco', telco]]) writeFileSync(name + '.sql', head + make() + 'RESET search_path;\nANALYZE;\n');
