// Judges a chain as Java does: Revocation MODE ROOT CERT CA... with MODE "ocsp"
// (the leaf's status by OCSP, the URL from the certificate) or "crl" (the whole
// chain by CRLs from the distribution points).  Prints the verdict.
import java.io.FileInputStream;
import java.io.InputStream;
import java.security.cert.CertPath;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

public class Revocation {
	static X509Certificate load(CertificateFactory f, String file)
	    throws Exception {
		try (InputStream in = new FileInputStream(file)) {
			return (X509Certificate)f.generateCertificate(in);
		}
	}

	public static void main(String[] args) throws Exception {
		CertificateFactory f = CertificateFactory.getInstance("X.509");
		X509Certificate root = load(f, args[1]);
		List<X509Certificate> list = new ArrayList<>();
		CertPathValidator v = CertPathValidator.getInstance("PKIX");
		PKIXRevocationChecker checker =
		    (PKIXRevocationChecker)v.getRevocationChecker();
		PKIXParameters params = new PKIXParameters(
		    Set.of(new TrustAnchor(root, null)));

		for (int i = 2; i < args.length; i++)
			list.add(load(f, args[i]));
		CertPath path = f.generateCertPath(list);
		if (args[0].equals("crl"))
			checker.setOptions(EnumSet.of(
			    Option.PREFER_CRLS, Option.NO_FALLBACK));
		else
			checker.setOptions(EnumSet.of(
			    Option.ONLY_END_ENTITY, Option.NO_FALLBACK));
		params.addCertPathChecker(checker);
		try {
			v.validate(path, params);
			System.out.println("good");
		} catch (CertPathValidatorException e) {
			if (e.getCause() instanceof CertificateRevokedException)
				System.out.println("revoked " +
				    ((CertificateRevokedException)e.getCause())
					.getRevocationReason());
			else
				System.out.println(e.getReason() + " " +
				    e.getMessage());
		}
	}
}
