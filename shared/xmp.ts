/**
 * The mark that says "made by a generative model", as an XMP packet.
 *
 * Its bytes depend on the model alone, and on the request's parameters where the caller wants them in: no date, no
 * service version, so that the same request gives the same file.
 *
 * @see https://www.iptc.org/std/photometadata/specification/IPTC-PhotoMetadata (2025.1)
 */

export interface XmpSource {
  /** model name, `owner/name` */
  readonly id: string;
  /** weights revision */
  readonly revision: string;
}

/** An identifier, not a link: the scheme is part of it. */
export const DIGITAL_SOURCE_TYPE =
  'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia';
export const CREATOR_TOOL = 'pixart-edge';

/** A JPEG APP1 segment holds no more. */
export const XMP_BYTES_MAX = 65_502;

/**
 * @param parameters  what the picture was made from, if that is to be in it
 * @throws {RangeError} when the packet would not fit into a JPEG segment
 */
export function buildXmp(source: XmpSource, parameters?: string): string {
  const packet = [
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">',
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
    '<rdf:Description rdf:about=""',
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"',
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/">',
    `<Iptc4xmpExt:DigitalSourceType>${DIGITAL_SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>`,
    `<Iptc4xmpExt:AISystemUsed>${escapeXml(source.id)}</Iptc4xmpExt:AISystemUsed>`,
    `<Iptc4xmpExt:AISystemVersionUsed>${escapeXml(source.revision)}</Iptc4xmpExt:AISystemVersionUsed>`,
    ...(parameters === undefined
      ? []
      : [
          `<Iptc4xmpExt:AIPromptInformation>${escapeXml(parameters)}</Iptc4xmpExt:AIPromptInformation>`,
        ]),
    `<xmp:CreatorTool>${CREATOR_TOOL}</xmp:CreatorTool>`,
    '</rdf:Description></rdf:RDF></x:xmpmeta>',
    '<?xpacket end="r"?>',
  ].join('');
  const bytes = new TextEncoder().encode(packet).length;
  if (bytes > XMP_BYTES_MAX) {
    throw new RangeError(`the XMP packet has ${bytes} bytes, limit ${XMP_BYTES_MAX}`);
  }
  return packet;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** XML text without control characters but line feeds, and lone surrogates, which XML 1.0 cannot hold. */
function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\P{Cc}\n]|[\ufffe\uffff]/gu, '')
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
