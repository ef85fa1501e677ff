//! An instance of sigstore of our own: an authority that certifies identities, a log of its certificates, and a log of
//! signatures, each with a key of its own. Makes bundles, honest ones and others.

mod der;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::domain::Digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use self::der::{bits, extension, object, octets, sequence, tagged, time, utf8};

pub const ISSUER: &str = "https://token.actions.githubusercontent.com";
pub const WORKFLOW: &str = "https://github.com/acme/tool/.github/workflows/release.yml@refs/tags/v1";
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";

struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// The `SubjectPublicKeyInfo`.
    fn public(&self) -> Vec<u8> {
        let algorithm = sequence(&[object("1.2.840.10045.2.1"), object("1.2.840.10045.3.1.7")]);
        sequence(&[algorithm, bits(self.0.public_key().as_ref())])
    }

    /// What logs are called: the digest of their key.
    fn id(&self) -> [u8; 32] {
        *Digest::of(&self.public()).bytes()
    }
}

/// Who signs, and when.
#[derive(Clone)]
pub struct By {
    pub issuer: &'static str,
    pub identity: String,
    pub repository: &'static str,
    /// The second in which the log records it.
    pub at: i64,
    /// The second in which the certificate begins to be valid, for ten minutes.
    pub from: i64,
    /// Whether the log of certificates has seen the certificate.
    pub is_in_log: bool,
}

impl By {
    pub fn workflow(at: i64) -> Self {
        let identity = WORKFLOW.to_owned();
        Self { issuer: ISSUER, identity, repository: "1000001", at, from: at - 5, is_in_log: true }
    }

    pub fn identity(self, identity: &str) -> Self {
        Self { identity: identity.to_owned(), ..self }
    }
}

pub struct Instance {
    authority: Key,
    certificates: Key,
    log: Key,
}

fn name(text: &str) -> Vec<u8> {
    sequence(&[tagged(0x31, &sequence(&[object("2.5.4.3"), utf8(text)]))])
}

fn certificate(to_be_signed: Vec<u8>, by: &Key) -> Vec<u8> {
    let signature = bits(&by.sign(&to_be_signed));
    sequence(&[to_be_signed, sequence(&[object(ECDSA_SHA256)]), signature])
}

fn to_be_signed(subject: &[u8], (from, to): (i64, i64), key: &Key, extensions: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[
        tagged(0xa0, &tagged(2, &[2])),
        tagged(2, &[1]),
        sequence(&[object(ECDSA_SHA256)]),
        name("authority.test"),
        sequence(&[time(from), time(to)]),
        subject.to_vec(),
        key.public(),
        tagged(0xa3, &sequence(extensions)),
    ])
}

impl Instance {
    pub fn new() -> Self {
        Self { authority: Key::new(), certificates: Key::new(), log: Key::new() }
    }

    /// The file that says whom to trust.
    pub fn trusted_root(&self) -> Value {
        let from = json!({"start": "2020-01-01T00:00:00Z"});
        let log = |key: &Key| {
            json!([{
                "baseUrl": "https://log.test", "hashAlgorithm": "SHA2_256", "logId": {"keyId": STANDARD.encode(key.id())},
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.public()), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": from,
                },
            }])
        };
        let extensions = [
            extension("2.5.29.19", true, &sequence(&[tagged(1, &[0xff])])),
            extension("2.5.29.15", true, &tagged(3, &[1, 6])),
        ];
        let years = (1_577_836_800, 2_208_988_800);
        let root = to_be_signed(&name("authority.test"), years, &self.authority, &extensions);
        let root = certificate(root, &self.authority);
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": log(&self.log),
            "ctlogs": log(&self.certificates),
            "certificateAuthorities": [{
                "subject": {"organization": "test", "commonName": "authority.test"}, "uri": "https://authority.test",
                "certChain": {"certificates": [{"rawBytes": STANDARD.encode(root)}]}, "validFor": from,
            }],
            "timestampAuthorities": [],
        })
    }

    /// A certificate for a key of an identity.
    fn certify(&self, key: &Key, by: &By) -> Vec<u8> {
        let kind = if by.identity.contains("://") { 0x86 } else { 0x81 };
        let mut extensions = vec![
            extension("2.5.29.15", true, &tagged(3, &[7, 0x80])),
            extension("2.5.29.37", false, &sequence(&[object("1.3.6.1.5.5.7.3.3")])),
            extension("2.5.29.17", true, &sequence(&[tagged(kind, by.identity.as_bytes())])),
            extension("1.3.6.1.4.1.57264.1.8", false, &utf8(by.issuer)),
            extension("1.3.6.1.4.1.57264.1.15", false, &utf8(by.repository)),
        ];
        let time = (by.from, by.from + 600);
        if by.is_in_log {
            let seen = to_be_signed(&sequence(&[]), time, key, &extensions);
            extensions.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &octets(&self.seen(&seen, by.from))));
        }
        certificate(to_be_signed(&sequence(&[]), time, key, &extensions), &self.authority)
    }

    /// The list with the one confirmation by the log of certificates (RFC 6962 sections 3.2 and 3.3).
    fn seen(&self, to_be_signed: &[u8], at: i64) -> Vec<u8> {
        let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let stamp = (at * 1000).to_be_bytes();
        let length = u32::try_from(to_be_signed.len()).unwrap().to_be_bytes();
        let entry = [&[0, 1], &self.authority.id()[..], &length[1..], to_be_signed].concat();
        let signature = self.certificates.sign(&[&[0, 0], &stamp[..], &entry, &[0, 0]].concat());
        let log = self.certificates.id();
        let one = [&[0], &log[..], &stamp, &[0, 0, 4, 3], &sized(&signature)].concat();
        sized(&sized(&one))
    }

    /// What the log has recorded, as the only entry of a tree.
    fn entry(&self, (kind, body): (&str, &Value), at: i64) -> Value {
        let body = serde_json::to_string(body).unwrap();
        let leaf = STANDARD.encode(Digest::of(&[&[0], body.as_bytes()].concat()).bytes());
        let (body, id) = (STANDARD.encode(&body), self.log.id());
        let promised = json!({"body": body, "integratedTime": at, "logID": hex::encode(id), "logIndex": 0}).to_string();
        let head = format!("log.test - 1\n1\n{leaf}\n");
        let signature = STANDARD.encode([&id[..4], &self.log.sign(head.as_bytes())].concat());
        json!({
            "logIndex": "0", "logId": {"keyId": STANDARD.encode(id)},
            "kindVersion": {"kind": kind, "version": "0.0.1"}, "integratedTime": at.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(self.log.sign(promised.as_bytes()))},
            "inclusionProof": {
                "logIndex": "0", "rootHash": leaf, "treeSize": "1", "hashes": [],
                "checkpoint": {"envelope": format!("{head}\n\u{2014} log.test {signature}\n")},
            },
            "canonicalizedBody": body,
        })
    }

    fn bundle(certificate: &[u8], entry: &Value, (member, content): (&str, Value)) -> Value {
        let mut bundle = json!({
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(certificate)}, "tlogEntries": [entry],
                "timestampVerificationData": {},
            },
        });
        bundle[member] = content;
        bundle
    }

    /// A signature of bytes, as `cosign sign-blob` makes it.
    pub fn sign(&self, message: &[u8], by: &By) -> Value {
        let key = Key::new();
        let (certificate, signature) = (self.certify(&key, by), STANDARD.encode(key.sign(message)));
        let digest = Digest::of(message);
        let entry = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
            "signature": {"content": signature, "publicKey": {"content": pem(&certificate)}},
        }});
        let content = json!({
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(digest.bytes())}, "signature": signature,
        });
        Self::bundle(&certificate, &self.entry(("hashedrekord", &entry), by.at), ("messageSignature", content))
    }

    /// A provenance of what has these digests, as GitHub attests it.
    pub fn attest(&self, subjects: &[Digest], by: &By) -> Value {
        self.state(subjects, PROVENANCE, by)
    }

    /// A statement of this type about what has these digests.
    pub fn state(&self, subjects: &[Digest], predicate: &str, by: &By) -> Value {
        let subjects: Vec<Value> =
            subjects.iter().map(|digest| json!({"name": "x", "digest": {"sha256": digest.hex()}})).collect();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "subject": subjects, "predicateType": predicate, "predicate": {},
        });
        let (payload, kind) = (statement.to_string(), "application/vnd.in-toto+json");
        let key = Key::new();
        let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        let (certificate, signature) = (self.certify(&key, by), STANDARD.encode(key.sign(signed.as_bytes())));
        let hash = |text: &str| json!({"algorithm": "sha256", "value": Digest::of(text.as_bytes()).hex()});
        let entry = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": hash(""), "payloadHash": hash(&payload),
            "signatures": [{"signature": signature, "verifier": pem(&certificate)}],
        }});
        let envelope = json!({
            "payload": STANDARD.encode(&payload), "payloadType": kind, "signatures": [{"sig": signature}],
        });
        Self::bundle(&certificate, &self.entry(("dsse", &entry), by.at), ("dsseEnvelope", envelope))
    }
}

/// In base64, once more, as the log has it.
fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    STANDARD.encode(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
}
