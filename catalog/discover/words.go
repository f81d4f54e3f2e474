package discover

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// wordsOf splits the name of a column or table into words: at underscores and the like, at capitals and before digits, folded to
// plain lower-case letters. "e_mail" and "E-Mail" are the one word email.
func wordsOf(name string) []string {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, string(word))
			word = nil
		}
	}
	previous := ' '
	for _, c := range norm.NFD.String(strings.ReplaceAll(name, "ß", "ss")) {
		switch {
		case unicode.Is(unicode.Mn, c):
			continue
		case !unicode.IsLetter(c) && !unicode.IsDigit(c):
			end()
		case unicode.IsUpper(c) && unicode.IsLower(previous), unicode.IsDigit(c) != unicode.IsDigit(previous) && len(word) > 0:
			end()
			word = append(word, unicode.ToLower(c))
		default:
			word = append(word, unicode.ToLower(c))
		}
		previous = c
	}
	end()
	if i := slices.Index(words, "e"); i >= 0 && i+1 < len(words) && strings.HasPrefix(words[i+1], "mail") {
		words = slices.Replace(words, i, i+2, "e"+words[i+1])
	}
	return words
}

// vocabulary is what names of one kind of column are made of. A word matches a stem if it begins or ends with it; pairs match two
// words that follow one another, or their compound. Words of spoilers say that the column is about the thing and not the thing.
type vocabulary struct {
	words, stems, pairs, weak, spoilers string
}

// hint is how much a column's name says.
type hint int

const (
	noHint hint = iota
	weakHint
	strongHint
)

func (v vocabulary) hint(words []string) hint {
	joined := strings.Join(words, "")
	for _, word := range words {
		if has(v.spoilers, word) || has(aboutness, word) {
			return noHint
		}
	}
	for pair := range strings.FieldsSeq(v.pairs) {
		if strings.Contains(joined, strings.ReplaceAll(pair, "_", "")) {
			return strongHint
		}
	}
	for _, word := range words {
		if has(v.words, word) {
			return strongHint
		}
		for stem := range strings.FieldsSeq(v.stems) {
			if strings.HasPrefix(word, stem) || strings.HasSuffix(word, stem) {
				return strongHint
			}
		}
	}
	weak := noHint
	for _, word := range words {
		switch {
		case !has(v.weak, word):
		case weak == weakHint:
			return strongHint // holder_name: two that may mean it do
		default:
			weak = weakHint
		}
	}
	return weak
}

// has tells whether a word stands in a list that is written with spaces.
func has(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// aboutness are words of columns that say something about personal data without holding any.
const aboutness = `sent verified confirmed bestaetigt verifiziert gesendet envoye verifie enviado opt optin optout consent status state flag is has count
	anzahl nombrede num_of template vorlage modele hash digest sha256 md5 domain type typ kind hidden masked maskiert masque enabled allowed
	valid invalid bounced bounces changed updated geaendert modifie length score lang language format provider`

// The vocabularies speak English, German, French, Spanish, Italian, Dutch, Portuguese and Polish.
func emailWords() vocabulary {
	return vocabulary{
		words: "email mail courriel correo emailadresse mailadresse emailaddress mailaddress epost emailadres mailadres mel eml",
		stems: "email", pairs: "email_address mail_address", weak: "address recipient sender replyto adresse", spoilers: "id message server host subject body betreff",
	}
}

func phoneWords() vocabulary {
	return vocabulary{
		words: `phone telephone telefon tel mobile mobil cell cellphone handy fax telefax telefono movil celular portable gsm msisdn rufnummer whatsapp telefone
			cellulare telefoon mobiel komorka fon ph phonenumber landline`,
		stems: "telefon telephon handynummer phone rufnummer mobilnummer", weak: "numero contact sms call caller callerid anrufer appelant",
		spoilers: "id model os device app brand agent plan tariff version",
	}
}

func birthWords() vocabulary {
	return vocabulary{
		words: "birth birthdate birthday dob bday born geburtsdatum geburtstag geboren naissance nacimiento nascita geboortedatum urodzenia nascimento birthdt nac naiss nasc geb",
		stems: "birth geburt naissance nacimiento geboorte", pairs: "date_of_birth", spoilers: "place ort lieu lugar name nom nome country city pays land stadt",
	}
}

func nameWords() vocabulary {
	return vocabulary{
		words: `firstname lastname fullname surname forename givenname familyname middlename maidenname vorname nachname familienname geburtsname zuname kontoinhaber
			ansprechpartner empfaenger prenom apellido apellidos cognome voornaam roepnaam achternaam imie nazwisko fname lname fullnm frstnm lastnm cardholder accountholder recipientname
			kundenname patientenname patient_name sobrenome titulaire displayname`,
		pairs: `first_name last_name full_name given_name family_name middle_name maiden_name nom_naissance nom_famille nom_usage nom_complet customer_name client_name patient_name
			contact_name account_holder card_holder display_name person_name personne_a nombre_completo emergency_contact next_of_kin name_on member_name
			guest_name passenger_name name_des beneficiary_name legal_name recipient_name`,
		weak: `name nom nombre nome naam nm nazwa names holder inhaber person personne persona contact owner author recipient caller sender signatory naam witness guardian tuteur
			customer cust client kunde patient klant`,
		spoilers: `id file host user table product produkt produit firma company companies societe brand marke project city ville ort country role team queue column field event
			domain server device model class category tag label key code slug url path schema job app species street strasse plan number no nr nummer numero email mail phone
			tel from to at on by le am`,
	}
}

func addressWords() vocabulary {
	return vocabulary{
		words: "street addr anschrift strasse direccion calle indirizzo adres ulica address1 address2 addressline domicile rue morada endereco",
		stems: "strasse straat anschrift street", pairs: "address_line street_address postal_address home_address billing_address shipping_address mailing_address",
		weak: "address adresse line", spoilers: "id ip mac email mail url wallet web from to net city zip",
	}
}

func placeWords() vocabulary {
	return vocabulary{
		words: "plz zip zipcode postcode postleitzahl postalcode cp city town ort stadt ville ciudad citta wohnort gemeinde commune municipality codepostal",
		pairs: "postal_code code_postal zip_code codigo_postal", spoilers: "id name of",
	}
}

func ibanWords() vocabulary {
	return vocabulary{words: "iban bankkonto kontonummer rib accountnumber", stems: "iban", pairs: "bank_account account_number", spoilers: "id"}
}

func cardWords() vocabulary {
	return vocabulary{
		words: "pan cardnumber kartennummer creditcard kreditkarte cc ccnumber cardno", pairs: "card_number credit_card cc_number card_no numero_carte carte_bancaire",
		spoilers: "id brand expiry exp last last4 holder",
	}
}

func identityWords() vocabulary {
	return vocabulary{
		words: `ssn nir nhs dni nif nie curp pesel bsn cpf aadhaar passport passnummer ausweisnummer personalausweis reisepass sozialversicherungsnummer versichertennummer
			krankenversichertennummer svnr matricula immatriculation targa kenteken plate ahv avs passeport pasaporte passaporto steuerid steuernummer sin tfn ppsn nino rrn kvnr kennzeichen`,
		stems: "passport ausweis sozialversicherung versicherten",
		pairs: `social_security national_id nhs_number passport_no passport_number tax_id id_card identity_card numero_secu securite_sociale codice_fiscale drivers_license driver_license
			license_plate licence_plate steuer_id insurance_number national_insurance personal_number medicare_number`,
		spoilers: "country expiry expires issued until",
	}
}

// A reference number is what one says about a person's business: of a ticket, or of the person himself.
const (
	ticketWords = `ticket case incident vorgang dossier anfrage claim complaint rma fall reklamation demande request issue servicefall caso pratica expediente sinistre schaden
		reclamation enquiry inquiry melding zaak schade`
	personWords = `customer patient member kunde kunden client adherent mitglied mitglieds insured versicherten subscriber abonne socio cliente patienten policyholder assure
		beneficiary student matrikel passenger guest policy poliza polizza police contract vertrag vertrags contrato contrat contratto
		leerling klant lid deelnemer cursist verzekerde polis account acct cust subs mbr`
	numberWords = "no nr num nbr number nummer numero ref reference referenz key code zeichen"
)

func referenceWords() vocabulary {
	return vocabulary{
		words: `ticketno ticketnumber ticketnummer casenumber caseno vorgangsnummer aktenzeichen kundennummer kundennr patientennummer mitgliedsnummer mrn ipp matrikelnummer
			customernumber membernumber fallnummer schadennummer versicherungsnummer policennummer`,
		pairs: "medical_record policy_number claim_number membership_number", spoilers: "order bestell commande facture invoice rechnung artikel product",
	}
}

func textWords() vocabulary {
	return vocabulary{
		words: `notes note body message messages comment comments description subject remark remarks bemerkung bemerkungen notiz notizen kommentar beschreibung betreff nachricht
			inhalt remarque remarques commentaire commentaires corps sujet objet observations observation nota notas mensaje asunto comentario comentarios
			oggetto messaggio content feedback question transcript memo anmerkung anmerkungen text texte txt desc descr onderwerp bericht verslag omschrijving opmerking opmerkingen toelichting notitie notities descrizione testo
			uwagi opis temat assunto mensagem observacoes bericht rapport report narrative summary bodytext bodyhtml html plaintext`,
		pairs: "compte_rendu free_text body_text", weak: "title titel titre details reason grund motif answer info information value",
		spoilers: "id",
	}
}

func handleWords() vocabulary {
	return vocabulary{
		words: "username nickname handle twitter linkedin facebook instagram skype benutzername pseudo profile", pairs: "user_name linkedin_url profile_url screen_name",
		spoilers: "id",
	}
}

func ipWords() vocabulary {
	return vocabulary{words: "ip ipaddress ipaddr ipadresse remoteip clientip", pairs: "ip_address ip_addr ip_adresse remote_addr", spoilers: "id"}
}

// Tables of customers, and tables of others whose names and addresses are not customers'.
const (
	customerTables = `customer customers client clients kunde kunden patient patients patienten member members mitglied mitglieder person persons people personen personne personnes
		contact contacts subscriber subscribers user users guest guests cliente clientes utente pazienti socios abonne abonnes student students passenger passengers citizen citizens
		versicherte teilnehmer participant participants profile profiles account accounts usager usagers adherent adherents`
	otherTables = `staff employee employees mitarbeiter mitarbeitende personal agent agents employe employes salarie salaries medecin medecins doctor doctors arzt aerzte nurse nurses
		physician physicians practitioner practitioners supplier suppliers lieferant lieferanten fournisseur fournisseurs vendor vendors proveedor company companies firma firmen societe
		societes organisation organisations organization organizations partner partners brand brands manufacturer manufacturers hersteller driver drivers admin admins operator operators
		product products artikel article articles produit produits template templates vorlage vorlagen campaign campaigns teacher teachers seller sellers merchant merchants store stores
		role roles permission permissions setting settings migration migrations`
	ticketTables = `ticket tickets case cases incident incidents vorgang vorgaenge anfrage anfragen dossier dossiers request requests issue issues claim claims complaint complaints
		reklamation reklamationen servicefall servicefaelle demande demandes caso casos enquiry enquiries inquiry inquiries`
	contactTables = "contact contacts call calls anruf anrufe appel appels interaction interactions communication communications kontakt kontakte llamada llamadas conversation conversations chat chats"
	staffColumns  = "role rolle abteilung department team specialite specialty salary gehalt hired eingestellt position username permissions rpps"
)

// nounOf tells whether a table's name has a word of a list in it. The last word counts most in English and German, the first in
// French and Spanish, so either will do.
func nounOf(name, list string) bool {
	words := wordsOf(name)
	if len(words) == 0 {
		return false
	}
	return has(list, strings.Join(words, "")) || has(list, words[0]) || has(list, words[len(words)-1])
}

// aboutOthers tells whether a table is about staff, suppliers, companies or things.
func aboutOthers(t *judged) bool {
	if nounOf(t.Name, otherTables) {
		return true
	}
	for _, c := range t.Table.Columns {
		for _, word := range wordsOf(c.Name) {
			if has(staffColumns, word) && nounOf(t.Name, "user users account accounts benutzer utilisateur utilisateurs usuario usuarios") {
				return true
			}
		}
	}
	return false
}
