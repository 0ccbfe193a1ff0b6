/// Decodes runs of equal bytes (TIFF 6.0, section 9) and gives the number of bytes decoded, at most
/// those of `output`. There are no wrong runs, only missing ones.
pub(super) fn decode(mut input: &[u8], output: &mut [u8]) -> usize {
    let mut at = 0;
    while let Some((&head, rest)) = input.split_first() {
        let room = output.len() - at;
        if room == 0 {
            break;
        }
        input = match head {
            0..=127 => {
                let count = usize::from(head) + 1;
                let (literals, rest) = rest.split_at(count.min(rest.len()));
                let count = literals.len().min(room);
                output[at..at + count].copy_from_slice(&literals[..count]);
                at += count;
                rest
            }
            128 => rest,
            129.. => {
                let Some((&byte, rest)) = rest.split_first() else {
                    break;
                };
                let count = (257 - usize::from(head)).min(room);
                output[at..at + count].fill(byte);
                at += count;
                rest
            }
        };
    }
    at
}

/// Encodes runs of three and more equal bytes as such, and what lies between them as it is.
pub(super) fn encode(mut bytes: &[u8]) -> Vec<u8> {
    const LONGEST: usize = 128;
    const SHORTEST_RUN: usize = 3;
    let run = |bytes: &[u8]| {
        let same = |&&byte: &&u8| byte == bytes[0];
        bytes.iter().take(LONGEST).take_while(same).count()
    };
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / LONGEST + 1);
    while !bytes.is_empty() {
        let count = run(bytes);
        let count = if count >= SHORTEST_RUN {
            out.extend([(257 - count) as u8, bytes[0]]);
            count
        } else {
            let literals = (1..bytes.len().min(LONGEST))
                .find(|&at| run(&bytes[at..]) >= SHORTEST_RUN)
                .unwrap_or(bytes.len().min(LONGEST));
            out.push((literals - 1) as u8);
            out.extend(&bytes[..literals]);
            literals
        };
        bytes = &bytes[count..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let packed = [
            0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0xF7,
            0xAA,
        ];
        let plain = [
            0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0x22,
            0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA,
        ];
        let mut found = [0; 24];
        assert_eq!(decode(&packed, &mut found), 24);
        assert_eq!(found, plain);
        assert_eq!(encode(&plain), packed);
    }

    #[test]
    fn runs_that_end_early_give_what_there_is() {
        assert_eq!(decode(&[5, 1, 2], &mut [0; 9]), 2);
        assert_eq!(decode(&[0xFE], &mut [0; 9]), 0);
        assert_eq!(decode(&[128, 128, 0, 7], &mut [0; 9]), 1);
        assert_eq!(decode(&[0x81, 7], &mut [0; 9]), 9);
    }
}
