// EST as Bouncy Castle's ESTService speaks it:
//
//	Est WHAT ROOT HOST:PORT LABEL KEY OUT [USER SECRET | KEYSTORE]
//
// KEY is a PKCS#8 key in DER, with its SubjectPublicKeyInfo in KEY.pub; the
// name that is asked for is that of the file.  WHAT is cacerts, csrattrs,
// enroll, reenroll, keygen or unique (enroll, linked by tls-unique).
// Certificates go to OUT, a generated key to OUT.key.
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;

import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.sec.SECObjectIdentifiers;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.ExtensionsGenerator;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.est.CSRAttributesResponse;
import org.bouncycastle.est.ESTAuth;
import org.bouncycastle.est.ESTException;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.HttpAuth;
import org.bouncycastle.est.jcajce.ChannelBindingProvider;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jsse.BCSSLSocket;
import org.bouncycastle.jsse.provider.BouncyCastleJsseProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequestBuilder;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;
import org.bouncycastle.util.Store;

public class Est {
	static final String[][] ATTRIBUTES = {
		{ "ecPublicKey", X9ObjectIdentifiers.id_ecPublicKey.getId() },
		{ "prime256v1", SECObjectIdentifiers.secp256r1.getId() },
		{ "ecdsaWithSHA256",
		    X9ObjectIdentifiers.ecdsa_with_SHA256.getId() },
		{ "challengePassword",
		    PKCSObjectIdentifiers.pkcs_9_at_challengePassword.getId() },
		{ "extensionRequest",
		    PKCSObjectIdentifiers.pkcs_9_at_extensionRequest.getId() },
		{ "template", "1.2.840.113549.1.9.16.2.61" },
	};

	// The binding of the connection that the request itself goes over.
	static class TlsUnique implements ChannelBindingProvider {
		public boolean canAccessChannelBinding(Socket socket) {
			return socket instanceof BCSSLSocket;
		}

		public byte[] getChannelBinding(Socket socket, String kind) {
			byte[] value = ((BCSSLSocket)socket)
			    .getConnection().getChannelBinding(kind);

			System.out.println(kind + " of " + value.length);
			return value;
		}
	}

	final String[] args;

	Est(String[] args) {
		this.args = args;
	}

	ESTService service() throws Exception {
		JsseESTServiceBuilder b;
		X509Certificate root;

		try (InputStream in = new FileInputStream(args[1])) {
			root = (X509Certificate)CertificateFactory
			    .getInstance("X.509").generateCertificate(in);
		}
		b = new JsseESTServiceBuilder(args[2],
		    JcaJceUtils.getCertPathTrustManager(
			Set.of(new TrustAnchor(root, null)), null));
		b.withProvider("BCJSSE").withTLSVersion(
		    args[0].equals("unique") ? "TLSv1.2" : "TLS");
		b.withChannelBindingProvider(new TlsUnique());
		if (args.length == 7)
			b.withKeyManagers(keys(args[6]).getKeyManagers());
		if (!args[3].isEmpty())
			b.withLabel(args[3]);
		return b.build();
	}

	static KeyManagerFactory keys(String file) throws Exception {
		KeyStore store = KeyStore.getInstance("PKCS12");
		char[] password = "password".toCharArray();

		try (InputStream in = new FileInputStream(file)) {
			store.load(in, password);
		}
		return JcaJceUtils.createKeyManagerFactory("PKIX", "BCJSSE",
		    store, password);
	}

	ESTAuth auth() {
		if (args.length != 8)
			return null;
		return new HttpAuth(args[6], args[7].toCharArray());
	}

	PrivateKey key() throws Exception {
		return KeyFactory.getInstance("EC").generatePrivate(
		    new PKCS8EncodedKeySpec(Files.readAllBytes(
			Path.of(args[4]))));
	}

	PKCS10CertificationRequestBuilder request() throws Exception {
		PublicKey key = KeyFactory.getInstance("EC").generatePublic(
		    new X509EncodedKeySpec(Files.readAllBytes(
			Path.of(args[4] + ".pub"))));
		String name = Path.of(args[4]).getFileName() + ".test";
		ExtensionsGenerator extensions = new ExtensionsGenerator();

		extensions.addExtension(Extension.subjectAlternativeName, false,
		    new GeneralNames(
			new GeneralName(GeneralName.dNSName, name)));
		return new JcaPKCS10CertificationRequestBuilder(
		    new X500Name("CN=" + name), key).addAttribute(
		    PKCSObjectIdentifiers.pkcs_9_at_extensionRequest,
		    extensions.generate());
	}

	void write(Store<X509CertificateHolder> certs) throws IOException {
		try (var out = Files.newBufferedWriter(Path.of(args[5]))) {
			for (X509CertificateHolder c :
			    ESTService.storeToArray(certs)) {
				out.write("-----BEGIN CERTIFICATE-----\n");
				out.write(java.util.Base64.getMimeEncoder()
				    .encodeToString(c.getEncoded()));
				out.write("\n-----END CERTIFICATE-----\n");
			}
		}
	}

	void attributes(ESTService s) throws Exception {
		CSRAttributesResponse r = s.getCSRAttributes()
		    .getAttributesResponse();

		for (String[] a : ATTRIBUTES) {
			ASN1ObjectIdentifier oid =
			    new ASN1ObjectIdentifier(a[1]);

			if (r.hasRequirement(oid))
				System.out.println(a[0] +
				    (r.isAttribute(oid) ? " with values" : ""));
		}
	}

	EnrollmentResponse enroll(ESTService s) throws Exception {
		ContentSigner signer =
		    new JcaContentSignerBuilder("SHA256withECDSA").build(key());

		switch (args[0]) {
		case "unique":
			return s.simpleEnrollPoP(false, request(), signer,
			    auth());
		case "keygen":
			return s.simpleEnrollWithServersideCreation(
			    request().build(signer), auth());
		default:
			return s.simpleEnroll(args[0].equals("reenroll"),
			    request().build(signer), auth());
		}
	}

	void run() throws Exception {
		ESTService s = service();
		EnrollmentResponse r;

		if (args[0].equals("csrattrs")) {
			attributes(s);
			return;
		}
		if (args[0].equals("cacerts")) {
			write(s.getCACerts().getCertificateStore());
			return;
		}
		r = enroll(s);
		if (!r.isCompleted()) {
			System.out.println("pending");
			return;
		}
		write(r.getStore());
		if (r.getPrivateKeyInfo() != null)
			Files.write(Path.of(args[5] + ".key"),
			    r.getPrivateKeyInfo().getEncoded());
		System.out.println("issued");
	}

	public static void main(String[] args) throws Exception {
		Security.addProvider(new BouncyCastleProvider());
		Security.addProvider(new BouncyCastleJsseProvider());
		try {
			new Est(args).run();
		} catch (ESTException e) {
			InputStream body = e.getBody();

			System.out.println("status " + e.getStatusCode());
			if (body != null)
				System.out.write(body.readAllBytes());
			System.out.flush();
			e.printStackTrace();
			System.exit(1);
		}
	}
}
