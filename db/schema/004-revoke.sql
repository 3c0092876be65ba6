-- Revoking.
SELECT 1;
