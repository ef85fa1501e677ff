//! The little of DER that certificates need.

/// A value with its tag and length.
pub fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(u8::try_from(length).unwrap()),
        0x80..=0xff => out.extend([0x81, u8::try_from(length).unwrap()]),
        _ => {
            out.push(0x82);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    out.extend(body);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

pub fn object(oid: &str) -> Vec<u8> {
    let numbers: Vec<u32> = oid.split('.').map(|number| number.parse().unwrap()).collect();
    let mut body = vec![u8::try_from(numbers[0] * 40 + numbers[1]).unwrap()];
    for number in &numbers[2..] {
        let mut groups = vec![u8::try_from(number & 0x7f).unwrap()];
        let mut rest = number >> 7;
        while rest > 0 {
            groups.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        body.extend(groups.iter().rev());
    }
    tagged(6, &body)
}

pub fn bits(bytes: &[u8]) -> Vec<u8> {
    tagged(3, &[&[0], bytes].concat())
}

pub fn octets(bytes: &[u8]) -> Vec<u8> {
    tagged(4, bytes)
}

pub fn utf8(text: &str) -> Vec<u8> {
    tagged(0x0c, text.as_bytes())
}

/// A time to the second, which before 2050 has two digits for the year.
pub fn time(second: i64) -> Vec<u8> {
    let time = jiff::Timestamp::from_second(second).unwrap();
    tagged(0x17, time.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
}

/// An extension of a certificate.
pub fn extension(oid: &str, is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { tagged(1, &[0xff]) } else { Vec::new() };
    sequence(&[object(oid), critical, octets(value)])
}
